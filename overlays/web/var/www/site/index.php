<?php
// The demo site: says which server answered, reads from the database and writes to
// it, the way /etc/imagebuild/site.ini tells: from a cache first, from the first
// database of a list that answers, to the one that takes writes. `?format=json` is for programs,
// a POST (or `?write=1`) writes.

declare(strict_types=1);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

$site = parse_ini_file('/etc/imagebuild/site.ini');
$timers = @parse_ini_file('/run/imagebuild/timers.env') ?: [];
// mysqli counts whole seconds. In two, a packet that was lost is sent once more.
$seconds = max(2, intdiv((int) ($timers['CONNECT_MS'] ?? 1000) + 999, 1000));

/** Connects to the first of the hosts that answers. */
function database(string $hosts, string $order, array $site, int $seconds): mysqli
{
    $list = explode(' ', $hosts);
    if ($order === 'random') {
        shuffle($list);
    }
    $password = @file_get_contents($site['password_file']);
    if ($password === false) {
        throw new RuntimeException('no database password');
    }
    $last = new RuntimeException('no database host');
    foreach ($list as $host) {
        try {
            $connection = mysqli_init();
            $connection->options(MYSQLI_OPT_CONNECT_TIMEOUT, $seconds);
            $connection->options(MYSQLI_OPT_READ_TIMEOUT, 2 * $seconds);
            $connection->real_connect($host, $site['user'], rtrim($password, "\n"), $site['database']);
            return $connection;
        } catch (mysqli_sql_exception $error) {
            $last = $error;
        }
    }
    throw $last;
}

$writes = $_SERVER['REQUEST_METHOD'] === 'POST' || isset($_GET['write']);
$page = [
    'site' => $site['site'],
    'architecture' => $site['architecture'],
    'server' => $site['server'],
    'client' => $_SERVER['REMOTE_ADDR'],
];
try {
    if ($writes) {
        $page['written'] = write_patiently($site, $seconds);
    }
    $page += cached_read($site, $seconds, $writes);
} catch (Throwable $error) {
    error_log('database: ' . $error->getMessage());
    http_response_code(503);
    header('Retry-After: 5');
    $page['error'] = 'The database is away. This page recovers by itself.';
}

/** While the address for writes moves, nobody is there or nobody may write yet. */
function write_patiently(array $site, int $seconds): int
{
    $until = microtime(true) + 6 * $seconds;
    while (true) {
        try {
            return write($site, $seconds);
        } catch (mysqli_sql_exception $error) {
            // Refused as a whole, so that nothing is written twice: cannot connect
            // (2002 and its like), locked (4151), read-only (1290).
            $again = in_array($error->getCode(), [1290, 2002, 2003, 2005, 4151], true);
            if (!$again || microtime(true) > $until) {
                throw $error;
            }
            usleep(200_000);
        }
    }
}

/** memcached, if the server has one; never a reason to fail. */
function cache(array $site): ?Memcached
{
    if (!isset($site['cache_socket']) || !class_exists('Memcached')) {
        return null;
    }
    $cache = new Memcached();
    $cache->addServer($site['cache_socket'], 0);
    return $cache;
}

/** Rows, not a connection, are kept; a write of this server makes them stale. */
function cached_read(array $site, int $seconds, bool $written): array
{
    $cache = cache($site);
    $kept = $written ? false : $cache?->get('visits');
    if (is_array($kept)) {
        return $kept + ['cached' => true];
    }
    try {
        $rows = read($site, $seconds);
    } catch (mysqli_sql_exception $error) {
        // The connection was lost on the way (2006, 2013), as to a database that stops: another
        // one, or the same again, may be asked, as a question changes nothing.
        if (!in_array($error->getCode(), [2006, 2013], true)) {
            throw $error;
        }
        $rows = read($site, $seconds);
    }
    $cache?->set('visits', $rows, (int) $site['cache_seconds']);
    return $rows + ($cache === null ? [] : ['cached' => false]);
}

function write(array $site, int $seconds): int
{
    $connection = database($site['writes'], 'listed', $site, $seconds);
    $text = visitor_text($_POST['text'] ?? $_GET['write'] ?? '');
    $statement = $connection->prepare('INSERT INTO demo_visits (web_server, text) VALUES (?, ?)');
    $statement->execute([$site['server'], $text]);
    return (int) $connection->insert_id;
}

function visitor_text(mixed $text): string
{
    return is_string($text) ? substr($text, 0, 200) : '';
}

function read(array $site, int $seconds): array
{
    $connection = database($site['reads'], $site['reads_order'], $site, $seconds);
    $row = $connection->query('SELECT COUNT(*), COALESCE(MAX(id), 0), @@hostname FROM demo_visits')->fetch_row();
    return ['database' => $row[2], 'visits' => (int) $row[0], 'last' => (int) $row[1]];
}

header('Cache-Control: no-store');
if (($_GET['format'] ?? '') === 'json') {
    header('Content-Type: application/json');
    echo json_encode($page), "\n";
    exit;
}
header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<title><?= htmlspecialchars($site['site']) ?></title>
<link rel="stylesheet" href="/style.css">
<h1><?= htmlspecialchars($site['site']) ?></h1>
<dl>
<?php foreach ($page as $key => $value): ?>
<dt><?= htmlspecialchars((string) $key) ?><dd><?= htmlspecialchars(is_bool($value) ? ($value ? 'yes' : 'no') : (string) $value) ?>
<?php endforeach ?>
</dl>
<form method="post"><input name="text" maxlength="200"> <button>Write</button></form>
