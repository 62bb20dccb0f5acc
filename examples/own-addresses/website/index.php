<!doctype html>
<title>Rose's bakery</title>
<link rel="stylesheet" href="/css/style.css">
<h1>Rose's bakery</h1>
<p>Bread from <?= htmlspecialchars(getenv('SITE_SERVER') ?: 'the oven') ?>.
