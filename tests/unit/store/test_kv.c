#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/err.h"
#include "store/kv.h"

static char kv_dir[256];

static void make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(kv_dir, sizeof kv_dir, "%s/sluice-kv-XXXXXX", tmp != NULL ? tmp : "/tmp");
    cr_assert_not_null(mkdtemp(kv_dir));
}

static const char *file_in(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", kv_dir, name);
    return path;
}

static void remove_dir(void)
{
    static const char *const names[] = { "data.mdb", "lock.mdb", "lock", "running" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(file_in(names[i]));
    rmdir(kv_dir);
}

TestSuite(kv, .init = make_dir, .fini = remove_dir);

static struct slice text(const char *s)
{
    return (struct slice){ s, strlen(s) };
}

static bool same(struct slice slice, const char *s)
{
    return slice.len == strlen(s) && memcmp(slice.data, s, slice.len) == 0;
}

static struct kv *must_open(void)
{
    struct kv *kv = NULL;
    cr_assert_eq(kv_open(kv_dir, true, NULL, &kv), OK, "%s", err_detail(ERR_IO));
    return kv;
}

static struct kv_txn *must_write(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    cr_assert_eq(kv_begin_write(kv, &txn), OK);
    return txn;
}

static struct kv_txn *must_read(struct kv *kv)
{
    struct kv_txn *txn = NULL;
    cr_assert_eq(kv_begin_read(kv, &txn), OK);
    return txn;
}

static kv_table must_table(struct kv_txn *txn, const char *name, bool dupsort)
{
    kv_table table = 0;
    cr_assert_eq(kv_table_open(txn, name, dupsort, &table), OK);
    return table;
}

static void put_one(const char *key, const char *value)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    cr_assert_eq(kv_put(txn, must_table(txn, "t", false), text(key), text(value)), OK);
    cr_assert_eq(kv_commit(txn), OK);
    kv_close(kv);
}

/* Opens for writing and answers whether `key` is there; *ret_wiped as kv_open. */
static bool key_is_there(const char *key, bool *ret_wiped)
{
    struct kv *kv = NULL;
    cr_assert_eq(kv_open(kv_dir, true, ret_wiped, &kv), OK);
    struct kv_txn *txn = must_write(kv);
    struct slice value;
    int found = kv_get(txn, must_table(txn, "t", false), text(key), &value);
    cr_assert_geq(found, 0);
    kv_abort(txn);
    kv_close(kv);
    return found == 1;
}

static void write_file(const char *name, const char *bytes)
{
    FILE *file = fopen(file_in(name), "w");
    cr_assert_not_null(file);
    fputs(bytes, file);
    fclose(file);
}

Test(kv, keeps_what_was_committed)
{
    bool wiped = true;
    put_one("a", "1");
    cr_assert_neq(access(file_in("running"), F_OK), 0, "a closed environment must not look open");
    cr_assert(key_is_there("a", &wiped));
    cr_assert_not(wiped);
}

Test(kv, drops_what_was_aborted)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_commit(txn), OK);
    txn = must_write(kv);
    cr_assert_eq(kv_put(txn, table, text("a"), text("1")), OK);
    kv_abort(txn);
    txn = must_read(kv);
    struct slice value;
    cr_assert_eq(kv_get(txn, table, text("a"), &value), 0);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, a_reader_sees_the_commit_it_began_with)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_put(txn, table, text("a"), text("1")), OK);
    cr_assert_eq(kv_commit(txn), OK);
    struct kv_txn *reader = must_read(kv);
    txn = must_write(kv);
    cr_assert_eq(kv_put(txn, table, text("a"), text("2")), OK);
    cr_assert_eq(kv_commit(txn), OK);
    struct slice value;
    cr_assert_eq(kv_get(reader, table, text("a"), &value), 1);
    cr_assert(same(value, "1"));
    kv_abort(reader);
    reader = must_read(kv);
    cr_assert_eq(kv_get(reader, table, text("a"), &value), 1);
    cr_assert(same(value, "2"), "a renewed reader must see the newest commit");
    kv_abort(reader);
    kv_close(kv);
}

Test(kv, a_note_lasts_as_long_as_its_snapshot_is_the_newest)
{
    static const char zeros[KV_NOTE_BYTES];
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_null(kv_note(txn), "what is being written changes");
    cr_assert_eq(kv_commit(txn), OK);
    for (size_t round = 0; round < 3; round++) {
        struct kv_txn *old = must_read(kv), *other = must_read(kv);
        char *note = kv_note(old);
        cr_assert(memcmp(note, zeros, sizeof zeros) == 0);
        memset(note, 7, sizeof zeros);
        cr_assert(memcmp(kv_note(other), zeros, sizeof zeros) == 0, "each has its own");
        kv_abort(other);
        kv_abort(old);
        old = must_read(kv);
        note = kv_note(old);
        cr_assert(note[0] == 7 && note[KV_NOTE_BYTES - 1] == 7, "the next reader of the snapshot finds it");
        txn = must_write(kv);
        cr_assert_eq(kv_put(txn, table, text("a"), text("1")), OK);
        cr_assert_eq(kv_commit(txn), OK);
        cr_assert(((char *)kv_note(old))[0] == 7, "a commit beside it changes nothing in it");
        kv_abort(old);
    }
    kv_close(kv);
}

Test(kv, cursor_walks_and_seeks)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_put(txn, table, text("d"), text("4")), OK);
    cr_assert_eq(kv_put(txn, table, text("b"), text("2")), OK);
    cr_assert_eq(kv_put(txn, table, text("f"), text("6")), OK);
    struct kv_cursor *cursor = NULL;
    struct slice key, value;
    cr_assert_eq(kv_cursor_open(txn, table, &cursor), OK);
    cr_assert_eq(kv_first(cursor, &key, &value), 1);
    cr_assert(same(key, "b"));
    cr_assert_eq(kv_next(cursor, &key, &value), 1);
    cr_assert(same(key, "d") && same(value, "4"));
    cr_assert_eq(kv_prev(cursor, &key, &value), 1);
    cr_assert(same(key, "b"));
    cr_assert_eq(kv_prev(cursor, &key, &value), 0);
    cr_assert_eq(kv_last(cursor, &key, &value), 1);
    cr_assert(same(key, "f"));
    cr_assert_eq(kv_next(cursor, &key, &value), 0);
    cr_assert_eq(kv_seek(cursor, text("c"), &key, &value), 1);
    cr_assert(same(key, "d"));
    cr_assert_eq(kv_seek(cursor, text("g"), &key, &value), 0);
    kv_cursor_close(cursor);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, before_is_strictly_before)
{
    static const struct {
        const char *key, *want;
    } rows[] = { { "a", NULL }, { "b", NULL }, { "c", "b" }, { "d", "b" }, { "e", "d" }, { "z", "d" }, { "", NULL } };
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    struct slice key, value;
    for (int dupsort = 0; dupsort < 2; dupsort++) {
        kv_table table = must_table(txn, dupsort ? "dup" : "t", dupsort);
        struct kv_cursor *cursor = NULL;
        cr_assert_eq(kv_cursor_open(txn, table, &cursor), OK);
        cr_assert_eq(kv_before(cursor, text("c"), &key, &value), 0, "an empty table has nothing before");
        cr_assert_eq(kv_put(txn, table, text("b"), text("2")), OK);
        cr_assert_eq(kv_put(txn, table, text("b"), text("3")), OK);
        cr_assert_eq(kv_put(txn, table, text("d"), text("4")), OK);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            int found = kv_before(cursor, text(rows[i].key), &key, &value);
            cr_assert_eq(found, rows[i].want != NULL, "before %s", rows[i].key);
            if (found == 1) cr_assert(same(key, rows[i].want), "before %s", rows[i].key);
        }
        kv_cursor_close(cursor);
    }
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, append_takes_keys_out_of_order_too)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_append(txn, table, text("a"), text("1")), OK);
    cr_assert_eq(kv_append(txn, table, text("c"), text("3")), OK);
    cr_assert_eq(kv_append(txn, table, text("b"), text("2")), OK);
    cr_assert_eq(kv_append(txn, table, text("c"), text("three")), OK);
    struct slice value;
    cr_assert_eq(kv_get(txn, table, text("b"), &value), 1);
    cr_assert(same(value, "2"));
    cr_assert_eq(kv_get(txn, table, text("c"), &value), 1);
    cr_assert(same(value, "three"));
    uint64_t count = 0;
    cr_assert_eq(kv_count(txn, table, &count), OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(kv_del(txn, table, text("b")), 1);
    cr_assert_eq(kv_del(txn, table, text("b")), 0);
    cr_assert_eq(kv_clear(txn, table), OK);
    cr_assert_eq(kv_count(txn, table, &count), OK);
    cr_assert_eq(count, 0);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, dupsort_keeps_values_sorted)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", true);
    cr_assert_eq(kv_put(txn, table, text("a"), text("22")), OK);
    cr_assert_eq(kv_put(txn, table, text("a"), text("11")), OK);
    cr_assert_eq(kv_append(txn, table, text("a"), text("33")), OK);
    struct slice key, value;
    cr_assert_eq(kv_get(txn, table, text("a"), &value), 1);
    cr_assert(same(value, "11"));
    struct kv_cursor *cursor = NULL;
    cr_assert_eq(kv_cursor_open(txn, table, &cursor), OK);
    cr_assert_eq(kv_seek(cursor, text("a"), &key, &value), 1);
    cr_assert_eq(kv_next(cursor, &key, &value), 1);
    cr_assert(same(value, "22"));
    cr_assert_eq(kv_next(cursor, &key, &value), 1);
    cr_assert(same(value, "33"));
    kv_cursor_close(cursor);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, values_of_a_key_are_sought_and_keys_are_stepped_over)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", true);
    struct kv_cursor *cursor = NULL;
    struct slice key, value;
    char bytes[4];
    for (int i = 0; i < 5000; i++) {
        snprintf(bytes, sizeof bytes, "%03x", 2 * i % 4096);
        cr_assert_eq(kv_append_value(txn, table, text(i < 2048 ? "a" : "b"), text(bytes)), OK);
    }
    cr_assert_eq(kv_append_value(txn, table, text("a"), text("777")), OK, "not in order: put the ordinary way");
    cr_assert_eq(kv_cursor_open(txn, table, &cursor), OK);
    cr_assert_eq(kv_seek_value(cursor, text("a"), text("776"), &value), 1);
    cr_assert(same(value, "776"));
    cr_assert_eq(kv_next(cursor, &key, &value), 1);
    cr_assert(same(key, "a") && same(value, "777"));
    cr_assert_eq(kv_seek_value(cursor, text("a"), text("fff"), &value), 0, "not one of the next key");
    cr_assert_eq(kv_seek_value(cursor, text("aa"), text("000"), &value), 0);
    cr_assert_eq(kv_first(cursor, &key, &value), 1);
    cr_assert_eq(kv_next_key(cursor, &key, &value), 1);
    cr_assert(same(key, "b") && same(value, "000"));
    cr_assert_eq(kv_next_key(cursor, &key, &value), 0);
    kv_cursor_close(cursor);
    cr_assert_eq(kv_del(txn, table, text("a")), 1, "with all its values");
    cr_assert_eq(kv_get(txn, table, text("a"), &value), 0);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, tells_whether_a_table_ends_before_a_key)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false), other = must_table(txn, "other", false);
    cr_assert_eq(kv_ends_before(txn, table, text("a")), 1, "an empty one does");
    cr_assert_eq(kv_put(txn, table, text("m"), text("x")), OK);
    cr_assert_eq(kv_put(txn, other, text("z"), text("x")), OK);
    cr_assert_eq(kv_ends_before(txn, table, text("l")), 0);
    cr_assert_eq(kv_ends_before(txn, table, text("m")), 0);
    cr_assert_eq(kv_ends_before(txn, table, text("ma")), 1);
    cr_assert_eq(kv_clear(txn, table), OK);
    cr_assert_eq(kv_ends_before(txn, table, text("a")), 1);
    kv_abort(txn);
    kv_close(kv);
}

/* A transaction keeps the place of its last put; what happens to the table in between must not matter. */
Test(kv, puts_go_to_the_right_place_whatever_happened_in_between)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false), other = must_table(txn, "other", false);
    struct slice value;
    uint64_t count = 0;
    char name[8];
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%04d", i * 7 % 3000);
        cr_assert_eq(kv_put(txn, i % 5 == 0 ? other : table, text(name), text(name)), OK);
        if (i % 11 == 0) cr_assert_geq(kv_del(txn, table, text(name)), 0);
        if (i == 1000) cr_assert_eq(kv_clear(txn, other), OK);
    }
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%04d", i * 7 % 3000);
        bool there = i % 5 == 0 ? i > 1000 : i % 11 != 0;
        cr_assert_eq(kv_get(txn, i % 5 == 0 ? other : table, text(name), &value), there, "%s", name);
        cr_assert(!there || same(value, name));
    }
    cr_assert_eq(kv_count(txn, other, &count), OK);
    cr_assert_eq(count, 399);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, refuses_keys_it_cannot_hold)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    char longer[KV_KEY_MAX + 1] = { 0 };
    struct slice value;
    cr_assert_eq(kv_put(txn, table, (struct slice){ longer, sizeof longer }, text("x")), ERR_ARG);
    cr_assert_eq(kv_put(txn, table, (struct slice){ longer, KV_KEY_MAX }, text("x")), OK);
    cr_assert_eq(kv_put(txn, table, text(""), text("x")), ERR_ARG);
    cr_assert_eq(kv_get(txn, table, text(""), &value), ERR_ARG);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, absent_table_in_a_read_transaction)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_read(kv);
    kv_table table;
    cr_assert_eq(kv_table_open(txn, "none", false, &table), ERR_NOTFOUND);
    kv_abort(txn);
    kv_close(kv);
}

Test(kv, second_writer_is_told_who_holds_it)
{
    struct kv *kv = must_open(), *second = NULL;
    cr_assert_eq(kv_open(kv_dir, true, NULL, &second), ERR_BUSY);
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
    cr_assert_not_null(strstr(err_detail(ERR_BUSY), pid), "%s", err_detail(ERR_BUSY));
    kv_close(kv);
}

/* Commits one entry and is killed with the environment open. */
static void commit_and_die(const char *key)
{
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct kv *kv = must_open();
        struct kv_txn *txn = must_write(kv);
        if (kv_put(txn, must_table(txn, "t", false), text(key), text("1")) == OK) (void)kv_commit(txn);
        raise(SIGKILL);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

Test(kv, a_killed_process_loses_nothing)
{
    bool wiped = true;
    commit_and_die("a");
    cr_assert_eq(access(file_in("running"), F_OK), 0);
    cr_assert(key_is_there("a", &wiped));
    cr_assert_not(wiped);
}

Test(kv, wipes_after_the_machine_stopped)
{
    bool wiped = false;
    commit_and_die("a");
    write_file("running", "00000000-0000-0000-0000-000000000000\n");
    struct kv *reader = NULL;
    cr_assert_eq(kv_open(kv_dir, false, NULL, &reader), ERR_CORRUPT);
    cr_assert_not(key_is_there("a", &wiped));
    cr_assert(wiped);
    put_one("b", "2");
    cr_assert(key_is_there("b", &wiped));
    cr_assert_not(wiped);
}

Test(kv, wipes_a_file_that_is_no_environment)
{
    bool wiped = false;
    char junk[20000];
    memset(junk, 'x', sizeof junk - 1);
    junk[sizeof junk - 1] = '\0';
    write_file("data.mdb", junk);
    cr_assert_not(key_is_there("a", &wiped));
    cr_assert(wiped);
}

Test(kv, survives_a_file_that_was_cut)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08d", i);
        cr_assert_eq(kv_append(txn, table, text(key), text("some value or other")), OK);
    }
    cr_assert_eq(kv_commit(txn), OK);
    kv_close(kv);
    cr_assert_eq(truncate(file_in("data.mdb"), 16384), 0);

    bool wiped = false;
    kv = NULL;
    cr_assert_eq(kv_open(kv_dir, true, NULL, &kv), OK);
    txn = must_write(kv);
    struct slice value;
    int err = kv_table_open(txn, "t", false, &table);
    if (err == OK) err = kv_get(txn, table, text("00004999"), &value);
    cr_assert_eq(err, ERR_CORRUPT);
    kv_abort(txn);
    kv_close(kv);
    cr_assert_not(key_is_there("00004999", &wiped));
    cr_assert(wiped, "damage that was met must lead to a fresh start");
}

Test(kv, makes_the_folder)
{
    char deep[300];
    snprintf(deep, sizeof deep, "%s/a/b", kv_dir);
    struct kv *kv = NULL;
    cr_assert_eq(kv_open(deep, true, NULL, &kv), OK);
    cr_assert_gt(kv_bytes(kv), 0);
    kv_close(kv);
    static const char *const names[] = { "a/b/data.mdb", "a/b/lock.mdb", "a/b/lock" };
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(unlink(file_in(names[i])), 0, "%s", names[i]);
    cr_assert_eq(rmdir(file_in("a/b")), 0);
    cr_assert_eq(rmdir(file_in("a")), 0);
}

Test(kv, reading_only_needs_an_environment)
{
    struct kv *kv = NULL;
    cr_assert_eq(kv_open(kv_dir, false, NULL, &kv), ERR_NOFILE);
}

/* LMDB forbids to open one environment twice in a process, so the onlooker is a child that opens it by itself. */
Test(kv, reads_beside_a_running_writer)
{
    int gate[2];
    cr_assert_eq(pipe(gate), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        char go;
        struct kv *kv = NULL;
        struct kv_txn *txn = NULL;
        struct slice value;
        kv_table table;
        if (read(gate[0], &go, 1) != 1 || kv_open(kv_dir, false, NULL, &kv) != OK) _exit(1);
        if (kv_begin_write(kv, &txn) != ERR_READONLY || kv_begin_read(kv, &txn) != OK) _exit(2);
        if (kv_table_open(txn, "t", false, &table) != OK) _exit(3);
        if (kv_get(txn, table, text("a"), &value) != 1 || !same(value, "1")) _exit(4);
        kv_abort(txn);
        if (kv_begin_read(kv, &txn) != OK) _exit(5);
        if (kv_get(txn, table, text("a"), &value) != 1) _exit(6);
        kv_abort(txn);
        kv_close(kv);
        _exit(0);
    }
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_put(txn, table, text("a"), text("1")), OK);
    cr_assert_eq(kv_commit(txn), OK);
    txn = must_write(kv);
    cr_assert_eq(write(gate[1], "x", 1), 1);
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "the onlooker stopped at step %d", WEXITSTATUS(status));
    kv_abort(txn);
    kv_close(kv);
    close(gate[0]);
    close(gate[1]);
}

Test(kv, readers_have_a_limit)
{
    struct kv *kv = must_open();
    static struct kv_txn *readers[1024];
    size_t n = 0;
    int err = OK;
    while (n < 1024 && (err = kv_begin_read(kv, &readers[n])) == OK)
        n++;
    cr_assert_eq(err, ERR_LIMIT);
    cr_assert_eq(n, 512);
    kv_abort(readers[--n]);
    cr_assert_eq(kv_begin_read(kv, &readers[n]), OK, "a reader that ended makes room");
    for (size_t i = 0; i <= n; i++)
        kv_abort(readers[i]);
    kv_close(kv);
}

struct read_loop {
    struct kv *kv;
    kv_table table;
    bool failed;
};

static void *read_often(void *arg)
{
    struct read_loop *loop = arg;
    for (int i = 0; i < 2000 && !loop->failed; i++) {
        struct kv_txn *txn = NULL;
        struct slice a, b;
        if (kv_begin_read(loop->kv, &txn) != OK) loop->failed = true;
        if (txn == NULL) break;
        /* both are always written in one transaction */
        if (kv_get(txn, loop->table, text("a"), &a) != 1 || kv_get(txn, loop->table, text("b"), &b) != 1 ||
            a.len != b.len || memcmp(a.data, b.data, a.len) != 0)
            loop->failed = true;
        kv_abort(txn);
    }
    return NULL;
}

Test(kv, threads_share_the_pool)
{
    struct kv *kv = must_open();
    struct kv_txn *txn = must_write(kv);
    struct read_loop loops[4] = { 0 };
    pthread_t threads[4];
    kv_table table = must_table(txn, "t", false);
    cr_assert_eq(kv_put(txn, table, text("a"), text("x")), OK);
    cr_assert_eq(kv_put(txn, table, text("b"), text("x")), OK);
    cr_assert_eq(kv_commit(txn), OK);
    for (size_t i = 0; i < 4; i++) {
        loops[i] = (struct read_loop){ .kv = kv, .table = table };
        cr_assert_eq(pthread_create(&threads[i], NULL, read_often, &loops[i]), 0);
    }
    for (int i = 0; i < 500; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        txn = must_write(kv);
        cr_assert_eq(kv_put(txn, table, text("a"), text(value)), OK);
        cr_assert_eq(kv_put(txn, table, text("b"), text(value)), OK);
        cr_assert_eq(kv_commit(txn), OK);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_not(loops[i].failed);
    }
    kv_close(kv);
}

Test(kv, null_is_fine)
{
    kv_close(NULL);
    kv_abort(NULL);
    kv_cursor_close(NULL);
}

/* LMDB writes to it through a mapping: on a full disk a hole in it would be SIGBUS. */
Test(kv, the_table_of_readers_has_all_its_blocks)
{
    struct stat file;
    struct kv *kv = must_open();
    cr_assert_eq(stat(file_in("lock.mdb"), &file), 0);
    cr_expect_geq(file.st_size, 576 * 64);
    cr_expect_geq(file.st_blocks * 512, file.st_size);
    kv_close(kv);
}
