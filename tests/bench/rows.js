'use strict'
// The table: what is measured, against what, and the ratio that is wanted.
//
// kind    rate: more is better · time: less is better · bytes: less is better
// against: one entry for each line of the table
//   who     contenders whose figures count; of several the best
//   want    the least ratio, "times as good as"; with `most` the largest ratio of Sluice's figure to the other's
//   limit   instead of a contender: Sluice's own figure must keep it
const GROUPS = ['log', 'scan', 'rebuild', 'query', 'http', 'pages', 'ws', 'append']

const ROWS = [
  row('log', 'log-append', 'append, batches of 1000, relaxed', 'rate', 'MB/s', 1e6, [
    { who: ['write'], name: 'write(2) of the same bytes', want: 0.6 },
    { who: ['flumelog-offset'], name: 'flumelog-offset', want: 6 }]),
  row('log', 'log-scan', 'scan of all records, no decode', 'rate', 'MB/s', 1e6, [{ who: ['memchr'], name: 'memchr over the file', want: 1 }]),
  row('log', 'log-scan-backward', 'scan backward', 'rate', 'MB/s', 1e6, [{ who: ['flumelog-offset'], name: 'flumelog-offset, reverse stream', want: 20 }]),
  row('log', 'log-get', 'random get by seq, 1M', 'rate', 'M/s', 1e6, [{ who: ['pread'], name: 'pread of the same ranges', want: 1.5 }]),

  row('scan', 'scan', 'message scan: all fields, references with rel', 'rate', 'MB/s', 1e6, [
    { who: ['jansson'], name: 'jansson, parse only', want: 15 },
    { who: ['simdjson'], name: 'simdjson visiting all strings', want: 0.6 },
    { who: ['memchr'], name: 'memchr over the same bytes' },
    { limit: 1.2e9, name: '1.2 GB/s a core' }]),

  row('rebuild', 'rebuild', 'cold rebuild of all views but search', 'time', 's', 1, [{ who: ['flumedb'], name: 'flumedb building its four', want: 25 }]),
  row('rebuild', 'rebuild-all', 'until search is there, too, which is built last', 'time', 's', 1, [{ who: ['flumedb'], name: 'flumedb building its four (no search)' }]),
  row('rebuild', 'rebuild-memory', 'its peak memory beside the mapped log', 'bytes', 'MB', 1e6, [
    { limit: 400e6, name: '400 MB' },
    { who: ['flumedb'], name: 'flumedb, whole process' }]),
  row('rebuild', 'rebuild-memory-mapped', 'the same with the views’ pages in the page cache', 'bytes', 'MB', 1e6, []),
  row('rebuild', 'rebuild-big', 'cold rebuild at ten times the messages', 'time', 's', 1, [{ who: ['small'], name: 'its own time', most: 11 }]),
  row('rebuild', 'rebuild-big-disk', 'the same with both logs on the disk only', 'time', 's', 1, [{ who: ['small'], name: 'its own time', most: 11 }]),
  row('rebuild', 'rebuild-big-memory', 'its peak memory', 'bytes', 'MB', 1e6, [{ limit: 600e6, name: '600 MB' }]),
  row('rebuild', 'catch-up', 'catch-up after a restart, 1,000 new messages', 'time', 'ms', 1e-3, [{ who: ['rebuild'], name: 'a cold rebuild', want: 100 }]),
  row('rebuild', 'start', 'start-up until the first answer', 'time', 'ms', 1e-3, [{ who: ['empty'], name: 'the same with an empty log', most: 1.5 }]),

  row('query', 'query-id', 'query in process: by id', 'time', 'µs', 1e-6, [best()]),
  row('query', 'query-type', 'query in process: newest 10 of a type', 'time', 'µs', 1e-6, [best()]),
  row('query', 'query-author-type', 'query in process: newest 10 of author and type', 'time', 'µs', 1e-6, [best()]),
  row('query', 'query-root', 'query in process: backlinks of a root', 'time', 'µs', 1e-6, [best()]),

  row('http', 'http-message', 'GET /messages/{id}, 64 connections', 'rate', 'k/s', 1e3, [
    { who: ['libmicrohttpd'], name: 'libmicrohttpd, constant 700 B', want: 0.8 },
    { who: ['node'], name: 'node http, constant 700 B', want: 4 },
    { who: ['records'], name: 'libmicrohttpd, a record copied from the mapped log' }]),
  row('http', 'http-feed', 'GET /feeds/{id}?limit=50, 64 connections', 'rate', 'k/s', 1e3, [
    { who: ['libmicrohttpd'], name: 'libmicrohttpd, as many bytes from memory', want: 0.7 },
    { who: ['records'], name: 'libmicrohttpd, the same records copied from the mapped log' }]),
  row('http', 'http-log', 'whole log as NDJSON to one client', 'rate', 'MB/s', 1e6, [
    { who: ['libmicrohttpd'], name: 'libmicrohttpd, the same from a callback', want: 0.7 }]),
  row('http', 'http-log-first', 'the same at once after a start', 'rate', 'MB/s', 1e6, [
    { who: ['libmicrohttpd'], name: 'libmicrohttpd, which maps its file before it listens', want: 0.7 }]),

  row('pages', 'pages-thread', 'GET /messages/{id}/thread of 100 messages', 'time', 'ms', 1e-3, [{ limit: 1e-3, name: '1 ms' }]),
  row('pages', 'pages-profile', 'a profile: about, counts of contacts, newest 20 of its feed', 'time', 'ms', 1e-3, [{ limit: 1e-3, name: '1 ms' }]),
  row('pages', 'pages-contacts', 'all contacts of a feed (200 on average, 80 kB)', 'time', 'ms', 1e-3, []),
  row('pages', 'pages-search', 'search for two words, drawn as often as they are said, best 50', 'time', 'ms', 1e-3, [{ limit: 5e-3, name: '5 ms' }]),
  row('pages', 'pages-search-any', 'the same for any two words that are said', 'time', 'ms', 1e-3, [{ limit: 5e-3, name: '5 ms' }]),

  row('ws', 'ws-replay', '/live: replay of the whole log to one client', 'rate', 'k/s', 1e3, [{ who: ['ws'], name: 'ws on node', want: 6 }]),
  row('ws', 'ws-fan-100', '/live: burst to 100 clients, deliveries', 'rate', 'k/s', 1e3, [
    { who: ['ws'], name: 'ws on node', want: 6 }, { who: ['epoll'], name: 'raw epoll broadcaster' }]),
  row('ws', 'ws-fan-1000', '/live: burst to 1000 clients, deliveries', 'rate', 'k/s', 1e3, [
    { who: ['ws'], name: 'ws on node', want: 6 }, { who: ['epoll'], name: 'raw epoll broadcaster' }]),
  row('ws', 'ws-paced-100', '/live: 100 clients, 10,000 deliveries/s, p99', 'time', 'ms', 1e-3, [
    { who: ['epoll'], name: 'raw epoll broadcaster', most: 1.5 },
    { who: ['fdatasync'], name: 'the same, with write(2) and fdatasync of each post before it is sent' }]),
  row('ws', 'ws-paced-1000', '/live: 1000 clients, 10,000 deliveries/s, p99', 'time', 'ms', 1e-3, [
    { who: ['epoll'], name: 'raw epoll broadcaster', most: 1.5 },
    { who: ['fdatasync'], name: 'the same, with write(2) and fdatasync of each post before it is sent' }]),
  row('ws', 'ws-memory', 'memory of an idle /live client', 'bytes', 'KiB', 1024, [{ limit: 8192, name: '8 KiB' }]),

  row('append', 'append-writers', 'durable, verified appends over HTTP, 64 writers', 'rate', 'k/s', 1e3, [
    verify(),
    { who: ['libmicrohttpd'], name: 'libmicrohttpd and libsodium verify, nothing else' },
    { who: ['fdatasync'], name: 'the same with write(2) and fdatasync of all that wait' }]),
  row('append', 'append-post', 'the same, one writer, NDJSON batches of 1000', 'rate', 'k/s', 1e3, [verify()]),
  row('append', 'append-import', 'sluice import of a file', 'rate', 'k/s', 1e3, [verify()])
]

function row(group, id, title, kind, unit, scale, against) {
  return { group, id, title, kind, unit, scale, against }
}

function best() {
  return { who: ['flumedb', 'ssb-db2'], name: 'best JavaScript peer', want: 20 }
}

function verify() {
  return { who: ['libsodium'], name: 'libsodium verify on all cores', want: 0.8 }
}

module.exports = { GROUPS, ROWS }
