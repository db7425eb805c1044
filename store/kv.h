/* The one door to LMDB: where views keep what they derive.
 *
 * One environment holds the tables of all views, so that a batch of records, whatever it changes, is one commit. One
 * writer (the indexer thread); any number of readers, each of which sees the commit that was newest when it began.
 *
 * Durability: commits are not fsynced one by one. A killed process loses nothing (the pages are the kernel's), a power cut may
 * leave a torn file; kv_open notices (the environment was not closed and the machine has booted since) and starts with an
 * empty one, because everything here can be derived again. Source of the layout caveats: lmdb.h. */
#ifndef STORE_KV_H
#define STORE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"

#define KV_KEY_MAX 511
#define KV_TABLES_MAX 64

struct kv;
struct kv_txn;
typedef unsigned kv_table; /* handle, valid until kv_close */

/* Opens (and creates) the environment in folder `dir`, for one process at a time: ERR_BUSY if another one holds it and `write`
 * is set. ret_wiped (may be NULL) says that an unsafe earlier state was thrown away. */
int kv_open(const char *dir, bool write, bool *ret_wiped, struct kv **ret_kv);
void kv_close(struct kv *kv); /* syncs; NULL is fine. No transaction may be open. */
int kv_sync(struct kv *kv);   /* to the disk; writer thread */

/* Opens the table `name`, creating it when `txn` is a write transaction. In a read transaction: ERR_NOTFOUND if absent.
 * dupsort: a key may hold several values of one fixed size, kept sorted. Writer thread, before readers use the handle. */
int kv_table_open(struct kv_txn *txn, const char *name, bool dupsort, kv_table *ret_table);

int kv_begin_write(struct kv *kv, struct kv_txn **ret_txn);
int kv_commit(struct kv_txn *txn); /* ends the transaction whatever it answers */
void kv_abort(struct kv_txn *txn); /* NULL is fine; also ends a read transaction */

/* Read transactions are taken from a pool and renewed, so this is cheap. Hold one only while answering: an old reader makes
 * the file grow. May be ended by another thread than began it. */
int kv_begin_read(struct kv *kv, struct kv_txn **ret_txn);

/* Room for what readers found out about a snapshot and the next ones would find out again, zeroed where nobody has read it before. It may
 * point into the snapshot. NULL in a write transaction, or without memory: whoever has no note looks anew. */
#define KV_NOTE_BYTES ((size_t)2 << 10)
void *kv_note(struct kv_txn *txn);

/* 1 and the value (borrowed until the transaction ends or, in a write transaction, until the next write), 0 if absent, <0 error.
 * dupsort: the smallest value. */
int kv_get(struct kv_txn *txn, kv_table table, struct slice key, struct slice *ret_value);

int kv_put(struct kv_txn *txn, kv_table table, struct slice key, struct slice value);

/* For keys in ascending order into a table that ends before `key`: several times faster than kv_put. A key that does not sort
 * last is put the ordinary way. */
int kv_append(struct kv_txn *txn, kv_table table, struct slice key, struct slice value);

/* 1 = the table holds nothing at or behind `key`, 0, <0 error. */
int kv_ends_before(struct kv_txn *txn, kv_table table, struct slice key);

/* In a dupsort table: adds a value to the key's; in ascending order behind those that are there several times faster. */
int kv_append_value(struct kv_txn *txn, kv_table table, struct slice key, struct slice value);

int kv_del(struct kv_txn *txn, kv_table table, struct slice key); /* 1 deleted, 0 was absent, <0 error */
int kv_clear(struct kv_txn *txn, kv_table table);                 /* empties the table */
int kv_count(struct kv_txn *txn, kv_table table, uint64_t *ret_entries);

struct kv_cursor;
int kv_cursor_open(struct kv_txn *txn, kv_table table, struct kv_cursor **ret_cursor);
void kv_cursor_close(struct kv_cursor *cursor); /* before its transaction ends; NULL is fine */

/* Each: 1 and the entry (borrowed as in kv_get), 0 = none there, <0 error. */
int kv_seek(struct kv_cursor *cursor, struct slice key, struct slice *ret_key,
            struct slice *ret_value); /* first >= key */
int kv_first(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value);
int kv_last(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value);
int kv_next(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value);
int kv_prev(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value);
/* The last entry whose key is < `key`. */
int kv_before(struct kv_cursor *cursor, struct slice key, struct slice *ret_key, struct slice *ret_value);

/* In a dupsort table: the first value >= `value` of exactly that key; the next key's first value. */
int kv_seek_value(struct kv_cursor *cursor, struct slice key, struct slice value, struct slice *ret_value);
int kv_next_key(struct kv_cursor *cursor, struct slice *ret_key, struct slice *ret_value);

/* Bytes of the environment's file, for /status. */
uint64_t kv_bytes(struct kv *kv);

#endif
