//! What a person does when the pair asks for one, or in the course of the years: each with what
//! must come of it.

use crate::faults::Fault;
use crate::faults::Whom::{Primary, Replica};
use crate::ledger::Ledger;
use crate::node::{CLIENTS, Node, WRITES, put, wait_until};
use crate::rig::Rig;
use std::time::Duration;

/// A trial of this file.
pub(crate) type Trial = fn(&mut Rig) -> Result<(), String>;

pub(crate) const TRIALS: [(&str, Trial); 10] = [
    ("the_primary_is_lost_while_alone_and_a_person_says_takeover", primary_is_lost),
    ("the_data_of_a_primary_is_lost_while_alone", data_is_lost),
    ("two_of_three_registers_are_lost", registers_are_lost),
    ("all_registers_are_lost", all_registers_are_lost),
    ("a_backup_is_restored", backup_is_restored),
    ("a_restore_is_cut", restore_is_cut),
    ("a_dump_is_moved_in", dump_is_moved_in),
    ("a_waiting_commit_is_killed", waiting_commit_is_killed),
    ("the_replicas_files_are_cut_short", files_are_cut_short),
    ("the_primary_stops_in_order_while_commits_wait", stops_while_commits_wait),
];

/// So long for everything that is not measured.
const PATIENCE: u32 = 600;

impl Rig {
    /// Rows that were acknowledged within a second or so.
    fn write_rows(&mut self) -> Result<Vec<u64>, String> {
        let ledger = Ledger::start(&self.nodes[CLIENTS], &self.next)?;
        std::thread::sleep(Duration::from_millis(1500));
        let rows = ledger.end();
        if rows.is_empty() { Err("no row was acknowledged".to_owned()) } else { Ok(rows) }
    }

    fn wait_for_need(&self, place: usize, need: &str) -> Result<(), String> {
        let node = &self.nodes[place];
        wait_until(need, PATIENCE, || node.is_on() && node.state("needs").starts_with(need))
    }

    fn wait_until_alone(&self, place: usize) -> Result<(), String> {
        let node = &self.nodes[place];
        wait_until("it is alone", PATIENCE, || {
            node.state("role") == "primary" && node.state("both") == "no"
        })
    }

    /// The replica is off, and the primary has rows that nobody else has. Gives both places, the
    /// rows of before and these.
    fn part(&mut self) -> Result<(usize, usize, Vec<u64>, Vec<u64>), String> {
        self.wait_until_whole()?;
        let (primary, replica) = (self.place(Primary)?, self.place(Replica)?);
        let before = self.write_rows()?;
        // While nobody writes, nobody waits, and nothing changes.
        let ledger = Ledger::start(&self.nodes[CLIENTS], &self.next)?;
        std::thread::sleep(Duration::from_millis(500));
        self.power_off(replica)?;
        self.wait_until_alone(primary)?;
        ledger.end();
        let alone = self.write_rows()?;
        Ok((primary, replica, before, alone))
    }

    fn both_have(&self, rows: &[u64]) -> Result<(), String> {
        self.has_all(Primary, rows)?;
        self.has_all(Replica, rows)
    }

    fn says(&self, place: usize, command: &str, word: &str) -> Result<(), String> {
        self.nodes[place].run(&format!("echo {word} | imagebuild-replication {command}")).map(drop)
    }
}

/// What was set aside there; the pair is not well as long as it is.
fn has_kept(node: &Node, kind: &str) -> Result<(), String> {
    let kept = node.state("set-aside");
    if !kept.contains(kind) {
        return Err(format!("{} has set nothing aside as {kind}: {kept}", node.name()));
    }
    if node.run("imagebuild-replication").is_ok() {
        return Err("the status says that all is well".to_owned());
    }
    node.run("rm -r /var/lib/mysql/.set-aside-*")?;
    wait_until("all is well", PATIENCE, || node.run("imagebuild-replication").is_ok())
}

fn primary_is_lost(rig: &mut Rig) -> Result<(), String> {
    // A word that nobody waits for is not kept for later.
    let (primary, replica) = (rig.place(Primary)?, rig.place(Replica)?);
    if rig.says(replica, "takeover", rig.nodes[primary].name()).is_ok() {
        return Err("a takeover while the primary is well".to_owned());
    }
    let (primary, replica, before, _) = rig.part()?;
    rig.power_off(primary)?;
    rig.start(replica)?;
    rig.wait_for_need(replica, "MayLackWrites")?;
    let name = rig.nodes[primary].name();
    // Not by a word that is not the right one.
    if rig.says(replica, "takeover", "yes").is_ok() {
        return Err("a takeover without the other one's name".to_owned());
    }
    rig.says(replica, "takeover", name)?;
    let taken = &rig.nodes[replica];
    wait_until("it takes writes", PATIENCE, || taken.state("role") == "primary")?;
    let after = rig.write_rows()?;
    rig.start(primary)?;
    rig.wait_until_whole()?;
    rig.both_have(&[before, after].concat())?;
    rig.nodes[primary].run("ls /var/lib/mysql/.set-aside-acknowledged-*/app/ledger.ibd")?;
    has_kept(&rig.nodes[primary], ".set-aside-acknowledged-")
}

fn data_is_lost(rig: &mut Rig) -> Result<(), String> {
    let (primary, replica, before, _) = rig.part()?;
    rig.power_off(primary)?;
    rig.nodes[primary].lose_data()?;
    rig.start(primary)?;
    rig.start(replica)?;
    rig.wait_for_need(primary, "DataLost")?;
    rig.wait_for_need(replica, "MayLackWrites")?;
    rig.says(replica, "takeover", rig.nodes[primary].name())?;
    rig.wait_until_whole()?;
    let after = rig.write_rows()?;
    rig.both_have(&[before, after].concat())
}

fn registers_are_lost(rig: &mut Rig) -> Result<(), String> {
    rig.wait_until_whole()?;
    let (primary, replica) = (rig.place(Primary)?, rig.place(Replica)?);
    let before = rig.write_rows()?;
    for place in [replica, 2] {
        rig.power_off(place)?;
        rig.nodes[place].lose_register()?;
    }
    for place in [replica, 2] {
        rig.start(place)?;
    }
    rig.wait_for_need(2, "RegisterLost")?;
    rig.wait_for_need(replica, "RegisterLost")?;
    let known = rig.nodes[replica].state("others-know");
    if !known.contains(rig.nodes[primary].name()) {
        return Err(format!("the others know `{known}`"));
    }
    rig.says(2, "recover", "recover")?;
    rig.wait_until_whole()?;
    let after = rig.write_rows()?;
    rig.both_have(&[before, after].concat())
}

fn all_registers_are_lost(rig: &mut Rig) -> Result<(), String> {
    let (primary, replica, before, alone) = rig.part()?;
    for place in [primary, 2] {
        rig.power_off(place)?;
    }
    for place in 0..3 {
        rig.nodes[place].lose_register()?;
        rig.start(place)?;
    }
    rig.wait_for_need(primary, "TwoHistories")?;
    rig.wait_for_need(replica, "TwoHistories")?;
    rig.says(primary, "takeover", rig.nodes[replica].name())?;
    rig.wait_until_whole()?;
    let after = rig.write_rows()?;
    rig.both_have(&[before, alone, after].concat())?;
    // It could have followed. But its history might have been another one.
    has_kept(&rig.nodes[replica], ".set-aside-acknowledged-")
}

fn backup_is_restored(rig: &mut Rig) -> Result<(), String> {
    let (primary, replica, before, late) = rig.part()?;
    // As `imagebuild-backup` does it, of a replica that is off instead of a snapshot.
    let backup = rig.nodes[primary].folder.join("shared/backup.tar.zst");
    rig.nodes[replica].pack_data(&backup)?;
    rig.nodes[primary].run("imagebuild-restore /mnt/backup.tar.zst")?;
    rig.wait_until_alone(primary)?;
    let node = &rig.nodes[primary];
    wait_until("it takes writes", PATIENCE, || node.state("writes") == "yes")?;
    let after = rig.write_rows()?;
    rig.start(replica)?;
    rig.wait_until_whole()?;
    rig.both_have(&[before, after].concat())?;
    // What it had after the backup was acknowledged.
    rig.nodes[replica].run("ls -d /var/lib/mysql/.set-aside-acknowledged-*")?;
    let there = rig.nodes[replica].run("mariadb -BN -e 'SELECT id FROM app.ledger'")?;
    let undone = late.iter().filter(|id| there.lines().any(|line| line == id.to_string()));
    if undone.count() > 0 {
        return Err("rows of after the backup are back".to_owned());
    }
    rig.nodes[primary].run("rm -r /var/lib/mysql/.before-restore-* /mnt/backup.tar.zst")?;
    rig.nodes[replica].run("rm -rf /var/lib/mysql/.set-aside-*").map(drop)
}

/// Programs before the real `mv`, of which the given call moves half of what it is told to, and
/// then ends the whole restore, as a power cut would.
fn half_a_move(call: usize) -> String {
    format!(
        r#"#!/bin/bash
echo >>/run/moves
[ "$(wc -l </run/moves)" = {call} ] || exec /usr/bin/mv "$@"
[ "$1" = -t ] && /usr/bin/mv -t "$2" "${{@:3:($#-1)/2}}"
pkill -9 -f imagebuild-restore; pkill -9 -f restore-swap; pkill -9 find
exit 1
"#
    )
}

fn restore_is_cut(rig: &mut Rig) -> Result<(), String> {
    // Of the marks and the files: out, the old files, the next mark, the new files.
    let both = [2, 4];
    // A gate has one of them in turn.
    let gate: Option<usize> = std::env::var("IMAGEBUILD_GATE").ok().and_then(|it| it.parse().ok());
    let calls = gate.map_or(&both[..], |number| &both[number % 2..][..1]);
    for &call in calls {
        let (primary, replica, before, _) = rig.part()?;
        let backup = rig.nodes[primary].folder.join("shared/backup.tar.zst");
        rig.nodes[replica].pack_data(&backup)?;
        let node = &rig.nodes[primary];
        put(&node.folder.join("shared/bin/mv"), &half_a_move(call))?;
        node.run("chmod 755 /mnt/bin/mv; rm -f /run/moves")?;
        let restore = "PATH=/mnt/bin:$PATH imagebuild-restore /mnt/backup.tar.zst";
        if node.run(restore).is_ok() {
            return Err("the restore was not cut".to_owned());
        }
        let marks = node.run("ls -A /var/lib/mysql")?;
        let mark = if call == 2 { ".restore-out" } else { ".restore-in" };
        if !marks.lines().any(|line| line == mark) {
            return Err(format!("no mark {mark}: {marks}"));
        }
        rig.power_off(primary)?;
        rig.start(primary)?;
        rig.wait_until_alone(primary)?;
        let node = &rig.nodes[primary];
        wait_until("it takes writes", PATIENCE, || node.state("writes") == "yes")?;
        let after = rig.write_rows()?;
        rig.start(replica)?;
        rig.wait_until_whole()?;
        rig.both_have(&[before, after].concat())?;
        let left = rig.nodes[primary].run("ls -d /var/lib/mysql/.restore-* 2>/dev/null || true")?;
        if !left.is_empty() {
            return Err(format!("left over: {left}"));
        }
        rig.nodes[primary].run("rm -r /var/lib/mysql/.before-restore-* /mnt/backup.tar.zst")?;
        rig.nodes[replica].run("rm -rf /var/lib/mysql/.set-aside-*")?;
    }
    Ok(())
}

/// A dump as MySQL makes it: with settings that are none of this server's business.
const DUMP: &str = "\
-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
-- Current Database: `shop`
/*!40101 SET NAMES utf8mb4 */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;
SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '3e11fa47-71ca-11e1-9e33-c80aa9429562:1-17,
4e11fa47-71ca-11e1-9e33-c80aa9429562:1-5';
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop`;
USE `shop`;
DROP TABLE IF EXISTS `order`;
CREATE TABLE `order` (`id` int NOT NULL AUTO_INCREMENT PRIMARY KEY, `text` varchar(99)) ENGINE=InnoDB;
CREATE TABLE `a\\b c` (`id` int) ENGINE=InnoDB;
CREATE TABLE `part` (`of` int, CONSTRAINT `of` FOREIGN KEY (`of`) REFERENCES `order` (`id`)) ENGINE=InnoDB;
INSERT INTO `order` VALUES (1,'USE `shop`;'),(2,'it''s');
INSERT INTO `part` VALUES (2);
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`shop`@`%`*/ /*!50003 TRIGGER `counts all` BEFORE INSERT ON `order` FOR EACH ROW SET NEW.text = CONCAT(NEW.text, '!') */;;
CREATE DEFINER=`shop`@`%` FUNCTION `orders`() RETURNS int
BEGIN
  RETURN (SELECT COUNT(*) FROM `order`);
END ;;
DELIMITER ;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`shop`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `last` AS select max(`order`.`id`) AS `id`, `orders`() AS `n` from `order` */;
ALTER DATABASE `shop` CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;
-- Dump completed on 2026-11-30  3:14:15
";

/// What phpMyAdmin and Adminer write around the same; each ends otherwise.
const EXPORTS: [(&str, &str); 2] = [
    (
        "-- phpMyAdmin SQL Dump\n-- version 5.2.1\n\nSET SQL_MODE = \"NO_AUTO_VALUE_ON_ZERO\";\n\
         START TRANSACTION;\nSET time_zone = \"+00:00\";\n\
         /*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;\n",
        "COMMIT;\n\n/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;\n",
    ),
    (
        "-- Adminer 4.8.1 MySQL 8.0.36 dump\n\nSET NAMES utf8;\nSET time_zone = '+00:00';\n\
         SET foreign_key_checks = 0;\n\n",
        "\n-- 2026-11-30 03:14:15\n",
    ),
];

fn dump_is_moved_in(rig: &mut Rig) -> Result<(), String> {
    rig.wait_until_whole()?;
    let (primary, replica) = (rig.place(Primary)?, rig.place(Replica)?);
    let before = rig.write_rows()?;
    let move_in = |rig: &Rig, text: &str| {
        put(&rig.nodes[primary].folder.join("shared/dump.sql"), text)?;
        rig.nodes[primary].run("imagebuild-move-in --replace </mnt/dump.sql")
    };
    // One that breaks in its middle, is cut off, or wants more than its own database.
    let reaches = DUMP.replace(
        "INSERT INTO `part`",
        "INSERT INTO mysql.global_priv VALUES ('%','x','{}');\nINSERT INTO `part`",
    );
    let broken = [
        (DUMP.replace("VALUES (2)", "VALUES (3)"), "nothing was changed"),
        (DUMP.replace("-- Dump completed", "-- Dump"), "is cut off"),
        (reaches, "nothing was changed"),
        (DUMP.replace("CREATE TABLE", "CREATE TABEL"), "makes no table"),
    ];
    for (text, why) in broken {
        match move_in(rig, &text) {
            Ok(_) => return Err(format!("it was taken, though: {why}")),
            Err(said) if said.contains(why) => {}
            Err(said) => return Err(format!("not `{why}`: {said}")),
        }
    }
    rig.both_have(&before)?;
    // It runs no program.
    drop(move_in(rig, &DUMP.replace("USE `shop`;\n", "\\! touch /tmp/escaped\n")));
    rig.nodes[primary].run("test ! -e /tmp/escaped")?;
    for (head, end) in EXPORTS {
        let table = "CREATE TABLE `exported` (\n  `id` int NOT NULL PRIMARY KEY\n);\n";
        match move_in(rig, &format!("{head}{table}")) {
            Err(said) if said.contains("is cut off") => {}
            other => return Err(format!("{head}: {other:?}")),
        }
        let said = move_in(rig, &format!("{head}{table}{end}"))?;
        if !said.contains("1 tables") {
            return Err(said);
        }
    }
    let said = move_in(rig, DUMP)?;
    if !said.contains("3 tables") {
        return Err(said);
    }
    let look =
        "mariadb -BN app -e \"INSERT INTO \\`order\\` (text) VALUES ('new')\" && sleep 1; true";
    rig.nodes[primary].run(look)?;
    for place in [primary, replica] {
        let said = rig.nodes[place].run(
            "mariadb -BN app -e 'SELECT GROUP_CONCAT(text ORDER BY id) FROM `order`; \
             SELECT id, n FROM last; SELECT COUNT(*) FROM part; SHOW DATABASES; \
             SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = \"app\"; \
             SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA = \"app\"; \
             SELECT JSON_VALUE(Priv, \"$.account_locked\") FROM mysql.global_priv WHERE User = \"app_code\"; \
             SELECT COUNT(*) FROM mysql.global_priv WHERE User LIKE \"imagebuild_move%\"'",
        )?;
        let rows = "USE `shop`;,it's,new!\n3\t3\n1\napp\nimagebuild\ninformation_schema\nmysql\nperformance_schema\nsys\n\
                    app_code@localhost\napp_code@localhost\n1\n0\n";
        if said != rows {
            return Err(format!("{} has:\n{said}", rig.nodes[place].name()));
        }
    }
    rig.make_table()
}

/// A commit waits for the replica, which is cut off; then its session is killed, or it has taken
/// longer than its own `max_statement_time`. Nobody may be told that it was done before the primary
/// is alone. (Of `KILL QUERY` somebody is: see docs/pairs.md.)
fn waiting_commit_is_killed(rig: &mut Rig) -> Result<(), String> {
    let primary = rig.place(Primary)?;
    for (row, (limit, kill)) in
        [("SET max_statement_time = 0.2;", "true"), ("", "mariadb -e \"KILL $id\"")]
            .iter()
            .enumerate()
    {
        rig.wait_until_whole()?;
        rig.begin(Fault::Apart)?;
        let insert = format!(
            "mariadb -BN -h {WRITES} -u app -p'app-\\password' app -e \
             '{limit} INSERT INTO ledger VALUES (-{row}); SELECT \"acknowledged\"' >/tmp/said 2>&1"
        );
        let client = rig.nodes[CLIENTS].spawn(&insert)?;
        // It says whether the commit was waiting, and the primary still not alone in the end.
        let kill = format!(
            "for i in $(seq 50); do id=$(mariadb -BN -e \"SELECT ID FROM \
             information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync%' AND USER = 'app'\" | head -n 1); \
             [ -z \"$id\" ] || break; sleep 0.01; done; [ -n \"$id\" ] && {{ {kill}; sleep 0.25; \
             grep -x both=yes /run/imagebuild/pair/state; }}"
        );
        let waited = rig.nodes[primary].run(&kill);
        let said = rig.nodes[CLIENTS].run("cat /tmp/said").unwrap_or_default();
        rig.end(Fault::Apart, 2)?;
        client.wait()?;
        waited?;
        if said.contains("acknowledged") {
            return Err(format!("{limit}{kill}: acknowledged, and nobody else has it"));
        }
    }
    rig.wait_until_whole()?;
    rig.node(Primary)?.run("mariadb -e 'TRUNCATE app.ledger'").map(drop)
}

/// A power cut may leave the files in which MariaDB notes how it follows in pieces.
fn files_are_cut_short(rig: &mut Rig) -> Result<(), String> {
    rig.wait_until_whole()?;
    let replica = rig.place(Replica)?;
    let before = rig.write_rows()?;
    rig.power_off(replica)?;
    for name in ["master.info", "relay-log.info"] {
        put(&rig.nodes[replica].folder.join("data").join(name), "")?;
    }
    rig.start(replica)?;
    rig.wait_until_whole()?;
    let after = rig.write_rows()?;
    rig.both_have(&[before, after].concat())
}

/// An orderly stop must not acknowledge what waits.
fn stops_while_commits_wait(rig: &mut Rig) -> Result<(), String> {
    rig.wait_until_whole()?;
    let (primary, replica) = (rig.place(Primary)?, rig.place(Replica)?);
    let ledger = Ledger::start(&rig.nodes[CLIENTS], &rig.next)?;
    std::thread::sleep(Duration::from_millis(1000));
    rig.begin(Fault::Apart)?;
    rig.nodes[primary].run("imagebuild-replication leave; systemctl stop mariadb.service")?;
    rig.power_off(primary)?;
    rig.end(Fault::Apart, 2)?;
    let taken = &rig.nodes[replica];
    let alone = taken.state("needs").starts_with("MayLackWrites");
    std::thread::sleep(Duration::from_millis(2000));
    let rows = ledger.end();
    println!("{} rows, and the other one {}", rows.len(), if alone { "waits" } else { "goes on" });
    rig.start(primary)?;
    rig.wait_until_whole()?;
    rig.both_have(&rows)?;
    rig.node(Primary)?.run("mariadb -e 'TRUNCATE app.ledger'").map(drop)
}
