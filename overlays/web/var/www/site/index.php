<?php
// The demo site: says which server answered, reads from the database and writes to
// it, the way /etc/imagebuild/site.ini tells. `?format=json` is for programs,
// a POST (or `?write=1`) writes.

declare(strict_types=1);
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);

$site = parse_ini_file('/etc/imagebuild/site.ini');
$timers = @parse_ini_file('/run/imagebuild/timers.env') ?: [];
// mysqli counts whole seconds.
$seconds = max(1, intdiv((int) ($timers['CONNECT_MS'] ?? 1000) + 999, 1000));

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
        $page['written'] = write($site, $seconds);
    }
    $page += read($site, $seconds);
} catch (Throwable $error) {
    error_log('database: ' . $error->getMessage());
    http_response_code(503);
    header('Retry-After: 5');
    $page['error'] = 'The database is away. This page recovers by itself.';
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
header('X-Server: ' . $site['server']);
if (($_GET['format'] ?? '') === 'json') {
    header('Content-Type: application/json');
    echo json_encode($page), "\n";
    exit;
}
header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<title><?= htmlspecialchars($site['site']) ?></title>
<h1><?= htmlspecialchars($site['site']) ?></h1>
<dl>
<?php foreach ($page as $key => $value): ?>
<dt><?= htmlspecialchars((string) $key) ?><dd><?= htmlspecialchars((string) $value) ?>
<?php endforeach ?>
</dl>
<form method="post"><input name="text" maxlength="200"> <button>Write</button></form>
