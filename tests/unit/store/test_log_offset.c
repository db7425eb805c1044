#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log.h"
#include "tests/support/scratch.h"

#define FIXTURES "tests/fixtures/logs/"
#define RECORDS 12

/* tests/fixtures/logs/index.json */
static const struct fixture {
    char name[40];
    enum log_codec codec;
    int64_t since;
    int64_t seqs[RECORDS];
} fixtures[] = {
    { "offset-v3-32.log", LOG_CODEC_32, 1696, { 0, 139, 281, 426, 574, 725, 879, 1036, 1196, 1359, 1525, 1696 } },
    { "offset-v3-48.log", LOG_CODEC_48, 1718, { 0, 141, 285, 432, 582, 735, 891, 1050, 1212, 1377, 1545, 1718 } },
    { "offset-v3-53.log", LOG_CODEC_53, 1740, { 0, 143, 289, 438, 590, 745, 903, 1064, 1228, 1395, 1565, 1740 } },
    { "offset-v2-legacy.log", LOG_CODEC_V2, 1652, { 0, 135, 273, 414, 558, 705, 855, 1008, 1164, 1323, 1485, 1652 } },
};

static char *folder;
static char path[SCRATCH_PATH];

static void setup(void)
{
    folder = scratch_make();
    scratch_path(folder, "log.offset", path);
}

static void teardown(void)
{
    scratch_remove(folder);
}

TestSuite(log_offset, .init = setup, .fini = teardown, .timeout = 60);

static int open_code(bool follow, enum log_codec codec, struct log **ret_log)
{
    struct log_offset_options options = { .path = path, .follow = follow, .codec = codec };
    return log_offset_open(&options, NULL, ret_log);
}

static struct log *open_log(bool follow, enum log_codec codec)
{
    struct log *log = NULL;
    int err = open_code(follow, codec, &log);
    cr_assert_eq(err, OK, "%s: %s", err_name(err), err_detail(err));
    return log;
}

static void use_fixture(const char *name)
{
    char from[SCRATCH_PATH];
    scratch_path(FIXTURES, name, from);
    size_t len;
    char *bytes = scratch_read(from, &len);
    scratch_write(path, bytes, len);
    free(bytes);
}

static int64_t put(struct log *log, const char *text)
{
    struct slice value = { text, strlen(text) };
    int64_t seq = -7;
    int err = log_append(log, &value, 1, &seq);
    cr_assert_eq(err, OK, "append: %s", err_detail(err));
    return seq;
}

static int get_code(struct log *log, int64_t seq)
{
    struct log_record record;
    return log_get(log, seq, &record);
}

static int64_t count(struct log *log, bool reverse)
{
    struct log_range range = { 0, SEQ_MAX, reverse };
    struct log_cursor cursor;
    struct log_record record;
    int64_t n = 0;
    int got = log_cursor_open(log, &range, &cursor);
    cr_assert_eq(got, OK, "%s", err_detail(got));
    while ((got = log_next(&cursor, &record)) == 1)
        n++;
    return got < 0 ? got : n;
}

/* ---- what flumelog-offset has written ---------------------------------------------------------------------- */

static void expect_fixture(struct log *log, const struct fixture *fixture)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    cr_expect_eq(log_since(log), fixture->since, "%s", fixture->name);
    cr_assert_eq(log_cursor_open(log, &range, &cursor), OK);
    for (int i = 0; i < RECORDS; i++) {
        char start[32];
        int len = snprintf(start, sizeof start, "{\"key\":\"%%msg%d\",", i);
        cr_assert_eq(log_next(&cursor, &record), 1, "%s: record %d", fixture->name, i);
        cr_expect_eq(record.seq, fixture->seqs[i], "%s: record %d", fixture->name, i);
        cr_expect_eq(memcmp(record.value.data, start, (size_t)len), 0, "%s: record %d", fixture->name, i);
        cr_expect_eq(record.value.data[record.value.len - 1], '}');
    }
    cr_expect_eq(log_next(&cursor, &record), 0);
    cr_expect_eq(count(log, true), RECORDS, "%s: backwards", fixture->name);
}

Test(log_offset, reads_the_files_of_flumelog_offset)
{
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        use_fixture(fixtures[i].name);
        for (int follow = 0; follow < 2; follow++)
            for (int told = 0; told < 2; told++) {
                struct log_offset_options options = { path, follow == 1, told ? fixtures[i].codec : LOG_CODEC_AUTO };
                struct log_offset_opened opened;
                struct log *log;
                cr_assert_eq(log_offset_open(&options, &opened, &log), OK, "%s", fixtures[i].name);
                cr_expect_eq(opened.codec, fixtures[i].codec);
                cr_expect_eq(opened.cut_at, -1);
                expect_fixture(log, &fixtures[i]);
                log_close(log);
            }
    }
}

Test(log_offset, writes_the_same_bytes_as_flumelog_offset)
{
    use_fixture("offset-v3-32.log");
    struct log *from = open_log(true, LOG_CODEC_AUTO);
    for (size_t i = 0; i < 3; i++) {
        struct slice values[RECORDS];
        for (int k = 0; k < RECORDS; k++) {
            struct log_record record;
            cr_assert_eq(log_get(from, fixtures[0].seqs[k], &record), OK);
            values[k] = record.value;
        }
        char made[SCRATCH_PATH];
        char want[SCRATCH_PATH];
        scratch_path(folder, "made", made);
        scratch_path(FIXTURES, fixtures[i].name, want);
        struct log_offset_options options = { .path = made, .codec = fixtures[i].codec };
        struct log *log;
        cr_assert_eq(log_offset_open(&options, NULL, &log), OK);
        cr_assert_eq(log_append(log, values, 5, NULL), OK);
        cr_assert_eq(log_append(log, values + 5, RECORDS - 5, NULL), OK);
        log_close(log);
        size_t made_len;
        size_t want_len;
        char *made_bytes = scratch_read(made, &made_len);
        char *want_bytes = scratch_read(want, &want_len);
        cr_expect(made_len == want_len && memcmp(made_bytes, want_bytes, made_len) == 0, "%s", fixtures[i].name);
        free(made_bytes);
        free(want_bytes);
        (void)remove(made);
    }
    log_close(from);
}

Test(log_offset, deleted_records_are_skipped_and_told)
{
    use_fixture("offset-v3-32-deleted.log");
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1696, "the last one is deleted, and still the last");
    cr_expect_eq(get_code(log, 426), ERR_DELETED);
    cr_expect_eq(get_code(log, 1696), ERR_DELETED);
    cr_expect_eq(get_code(log, 281), OK);
    cr_expect_eq(count(log, false), 10);
    cr_expect_eq(count(log, true), 10);
    cr_expect_eq(put(log, "{}"), 1870);
    log_close(log);
}

Test(log_offset, repairs_a_torn_tail_as_flumelog_offset_does)
{
    use_fixture("offset-v3-32-torn.log");
    log_close(open_log(false, LOG_CODEC_AUTO));
    size_t made_len;
    size_t want_len;
    char *made = scratch_read(path, &made_len);
    char *want = scratch_read(FIXTURES "offset-v3-32-torn-repaired.log", &want_len);
    cr_expect(made_len == want_len && memcmp(made, want, made_len) == 0);
    free(made);
    free(want);
    char cut[SCRATCH_PATH];
    scratch_path(folder, "log.offset.cut-1696", cut);
    cr_expect_eq(scratch_size(cut), 1865 - 1696);
}

Test(log_offset, the_older_format_is_read_only)
{
    use_fixture("offset-v2-legacy.log");
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    struct slice value = SLICE_LITERAL("x");
    cr_expect_eq(log_append(log, &value, 1, NULL), ERR_READONLY);
    cr_expect_not_null(strstr(err_detail(ERR_READONLY), "sluice import"));
    cr_expect_eq(log_sync(log), OK);
    log_close(log);
    scratch_truncate(path, 1700);
    log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1485, "a torn tail is passed over");
    cr_expect_eq(scratch_size(path), 1700, "and never cut");
    log_close(log);
}

/* ---- boundaries ------------------------------------------------------------------------------------------- */

static bool is_start(const struct fixture *fixture, int64_t seq)
{
    for (int i = 0; i < RECORDS; i++)
        if (fixture->seqs[i] == seq) return true;
    return false;
}

Test(log_offset, only_the_starts_of_records_are_seqs)
{
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        const struct fixture *fixture = &fixtures[i];
        use_fixture(fixture->name);
        struct log *log = open_log(true, LOG_CODEC_AUTO);
        struct log_cursor cursor;
        for (int64_t seq = 0; seq < log_bytes(log) + 20; seq++) {
            int want = seq > fixture->since ? ERR_NOSEQ : is_start(fixture, seq) ? OK : ERR_BOUNDARY;
            cr_assert_eq(get_code(log, seq), want, "%s: get %lld", fixture->name, (long long)seq);
            if (want == ERR_NOSEQ) want = OK;
            for (int reverse = 0; reverse < 2; reverse++) {
                struct log_range from = { seq, SEQ_MAX, reverse == 1 };
                struct log_range to = { 0, seq, reverse == 1 };
                cr_assert_eq(log_cursor_open(log, &from, &cursor), want, "%s: from %lld", fixture->name,
                             (long long)seq);
                cr_assert_eq(log_cursor_open(log, &to, &cursor), want, "%s: to %lld", fixture->name, (long long)seq);
            }
        }
        log_close(log);
    }
}

Test(log_offset, a_deleted_record_larger_than_any_block_is_skipped)
{
    struct log *log = open_log(false, LOG_CODEC_32);
    static char large[200000];
    memset(large, 'x', sizeof large);
    static char zeros[200000];
    struct slice values[5] = { SLICE_LITERAL("first"),
                               { large, 20000 },
                               SLICE_LITERAL("middle"),
                               { large, sizeof large },
                               SLICE_LITERAL("last") };
    int64_t seqs[5];
    cr_assert_eq(log_append(log, values, 5, seqs), OK);
    scratch_write_at(path, zeros, 20000, seqs[1] + 4);
    scratch_write_at(path, zeros, sizeof zeros, seqs[3] + 4);
    cr_expect_eq(count(log, false), 3);
    cr_expect_eq(count(log, true), 3);
    cr_expect_eq(get_code(log, seqs[1]), ERR_DELETED);
    cr_expect_eq(get_code(log, seqs[3]), ERR_DELETED);
    scratch_write_at(path, "x", 1, seqs[3] + 4 + 199999);
    cr_expect_eq(get_code(log, seqs[3]), OK, "zeros but for the last byte are a record");
    log_close(log);
}

/* flumelog-offset can store an empty value and then fails on it. */
Test(log_offset, an_empty_record_in_the_file_reads_as_deleted)
{
    static const unsigned char bytes[] = { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 0, 0, 0,  13, /* a */
                                           0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 25,     /* nothing */
                                           0, 0, 0, 1, 'b', 0, 0, 0, 1, 0, 0, 0,  38 };
    scratch_write(path, bytes, sizeof bytes);
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 25);
    cr_expect_eq(count(log, false), 2);
    cr_expect_eq(count(log, true), 2);
    cr_expect_eq(get_code(log, 13), ERR_DELETED);
    log_close(log);
}

/* ---- files that are no log -------------------------------------------------------------------------------- */

Test(log_offset, a_file_that_is_no_log_is_refused_and_left_alone)
{
    static const struct {
        char bytes[64];
        size_t len;
    } cases[] = { { "{\"this\":\"is JSON, not a log\"}", 29 },
                  { "hi", 2 },
                  { { 0, 0, 0, 1, 'a', 0, 0, 0, 2, 0, 0, 0, 13 }, 17 },
                  { { 0, 0, 0, 1, 'a', 0, 0, 0, 1, 9, 9, 9, 9, 9, 9, 9, 9 }, 17 },
                  { { 0 }, 40 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int follow = 0; follow < 2; follow++) {
            scratch_write(path, cases[i].bytes, cases[i].len);
            struct log *log = NULL;
            cr_expect_eq(open_code(follow == 1, LOG_CODEC_AUTO, &log), ERR_FORMAT, "case %zu", i);
            cr_expect_null(log);
            cr_expect_eq(scratch_size(path), (int64_t)cases[i].len, "case %zu", i);
        }
    use_fixture("offset-v3-32.log");
    struct log *log = NULL;
    cr_expect_eq(open_code(false, LOG_CODEC_53, &log), ERR_FORMAT, "another codec than it has");
    cr_expect_eq(scratch_size(path), 1870, "never cut on a wrong word of the user");
    cr_expect_eq(open_code(false, (enum log_codec)7, &log), ERR_ARG);
}

Test(log_offset, what_is_missing_or_no_file_is_told)
{
    struct log *log = NULL;
    cr_expect_eq(open_code(true, LOG_CODEC_AUTO, &log), ERR_NOFILE);
    cr_expect_eq(scratch_count(folder), 0, "following creates nothing");
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(open_code(true, LOG_CODEC_AUTO, &log), ERR_FORMAT);
    cr_expect_eq(open_code(false, LOG_CODEC_AUTO, &log), ERR_FORMAT);
    (void)remove(path);
    scratch_path(folder, "no/such/folder", path);
    cr_expect_eq(open_code(false, LOG_CODEC_AUTO, &log), ERR_NOFILE);
    cr_expect_null(log);
}

/* ---- owning and following --------------------------------------------------------------------------------- */

Test(log_offset, the_second_owner_is_told_who_the_first_is)
{
    struct log *first = open_log(false, LOG_CODEC_AUTO);
    struct log *second = NULL;
    char pid[32];
    (void)snprintf(pid, sizeof pid, "process %ld:", (long)getpid());
    cr_expect_eq(open_code(false, LOG_CODEC_AUTO, &second), ERR_BUSY);
    cr_expect_not_null(strstr(err_detail(ERR_BUSY), pid), "%s", err_detail(ERR_BUSY));
    log_close(open_log(true, LOG_CODEC_AUTO));
    log_close(first);
    log_close(open_log(false, LOG_CODEC_AUTO));
}

Test(log_offset, following_needs_no_right_to_write_and_leaves_no_trace)
{
    use_fixture("offset-v3-32-torn.log");
    cr_assert_eq(chmod(path, 0444), 0);
    cr_assert_eq(chmod(folder, 0555), 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Root may write anywhere: drop that where it applies. */
        if (getuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
        struct log_offset_options options = { .path = path, .follow = true };
        struct log *log;
        if (log_offset_open(&options, NULL, &log) != OK) _exit(3);
        struct slice value = SLICE_LITERAL("x");
        bool good = log_since(log) == 1525 && log_append(log, &value, 1, NULL) == ERR_READONLY &&
                    log_refresh(log) == 0 && log_sync(log) == OK && log_durable(log) == 1525;
        log_close(log);
        _exit(good ? 0 : 4);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
    cr_expect(scratch_count(folder) == 1 && scratch_size(path) == 1865);
}

Test(log_offset, a_follower_sees_what_the_owner_appends)
{
    struct log *owner = open_log(false, LOG_CODEC_AUTO);
    struct log *follower = open_log(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    for (int i = 0; i < 100; i++) {
        int64_t seq = put(owner, "{\"some\":\"record\"}");
        cr_expect_eq(log_refresh(follower), 1);
        cr_expect_eq(log_refresh(follower), 0);
        cr_assert_eq(log_since(follower), seq);
        cr_assert_eq(get_code(follower, seq), OK);
    }
    cr_expect_eq(log_identity(owner), log_identity(follower));
    cr_expect_eq(log_refresh(owner), 0);
    log_close(follower);
    log_close(owner);
}

static void expect_changed(struct log *log, const char *why)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(log_refresh(log), ERR_CHANGED, "it stays so");
        cr_expect_not_null(strstr(err_detail(ERR_CHANGED), why), "%s", err_detail(ERR_CHANGED));
        cr_expect_eq(get_code(log, 0), ERR_CHANGED);
        cr_expect_eq(log_cursor_open(log, &range, &cursor), ERR_CHANGED);
    }
    log_close(log);
}

Test(log_offset, a_followed_file_that_shrinks_has_changed)
{
    use_fixture("offset-v3-53.log");
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    scratch_truncate(path, 1740);
    expect_changed(log, "shorter");
}

Test(log_offset, a_followed_file_that_is_replaced_or_removed_has_changed)
{
    char other[SCRATCH_PATH];
    scratch_path(folder, "other", other);
    use_fixture("offset-v3-53.log");
    (void)rename(path, other);
    use_fixture("offset-v3-53.log");
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    cr_assert_eq(rename(other, path), 0);
    expect_changed(log, "replaced");
    log = open_log(true, LOG_CODEC_AUTO);
    (void)remove(path);
    expect_changed(log, "removed");
}

/* How long ago the file was changed last; a tick of the file system's clock is far shorter than what it is compared with. */
static double changed_ago(void)
{
    struct stat st;
    struct timespec now;
    cr_assert_eq(stat(path, &st), 0);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (double)(now.tv_sec - st.st_ctim.tv_sec) + (double)(now.tv_nsec - st.st_ctim.tv_nsec) / 1e9;
}

/* Of a file at rest the path is not looked at each time: that it lost its name must show all the same. */
Test(log_offset, a_followed_file_at_rest_is_seen_to_be_replaced_or_removed_at_once)
{
    char other[SCRATCH_PATH];
    scratch_path(folder, "other", other);
    use_fixture("offset-v3-53.log");
    (void)rename(path, other);
    use_fixture("offset-v3-53.log");
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    while (changed_ago() < 0.2)
        cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(rename(other, path), 0);
    expect_changed(log, "replaced");

    log = open_log(true, LOG_CODEC_AUTO);
    while (changed_ago() < 0.2)
        cr_assert_eq(log_refresh(log), 0);
    cr_assert_eq(log_refresh(log), 0);
    (void)remove(path);
    expect_changed(log, "removed");
}

Test(log_offset, a_followed_file_that_is_rewritten_in_place_has_changed)
{
    use_fixture("offset-v3-53.log");
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    char larger[4000];
    memset(larger, 'x', sizeof larger);
    scratch_write(path, larger, sizeof larger);
    expect_changed(log, "rewritten");
}

Test(log_offset, a_record_deleted_by_the_owner_is_no_change)
{
    use_fixture("offset-v3-53.log");
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    static const char zeros[1918 - 1740 - 16];
    scratch_write_at(path, zeros, sizeof zeros, 1740 + 4);
    cr_expect_eq(log_refresh(log), 0);
    cr_expect_eq(get_code(log, 1740), ERR_DELETED);
    cr_expect_eq(count(log, false), RECORDS - 1);
    log_close(log);
}

/* The owner dies amid a write, comes back, cuts its torn tail and goes on. */
Test(log_offset, a_follower_outlives_the_repair_of_its_owner)
{
    use_fixture("offset-v3-32-torn.log");
    struct log *follower = open_log(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    struct log *owner = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_refresh(follower), 0);
    int64_t seq = put(owner, "{}");
    cr_expect_eq(log_refresh(follower), 1);
    cr_expect(log_since(follower) == seq && seq == 1696);
    log_close(owner);
    log_close(follower);
}

/* Without a guard these reads die of SIGBUS. */
Test(log_offset, a_file_cut_under_its_readers_is_no_crash)
{
    static char large[100000];
    memset(large, 'x', sizeof large);
    struct slice value = { large, sizeof large };
    struct log *owner = open_log(false, LOG_CODEC_AUTO);
    int64_t seqs[10];
    for (int i = 0; i < 10; i++)
        cr_assert_eq(log_append(owner, &value, 1, &seqs[i]), OK);
    struct log *log[4];
    for (int i = 0; i < 4; i++)
        log[i] = open_log(true, LOG_CODEC_AUTO);
    struct log_range up = LOG_RANGE_ALL;
    struct log_range down = { 0, SEQ_MAX, true };
    struct log_cursor cursors[2];
    struct log_record record;
    cr_assert_eq(log_cursor_open(log[0], &up, &cursors[0]), OK);
    cr_assert_eq(log_cursor_open(log[1], &down, &cursors[1]), OK);
    cr_assert_eq(log_next(&cursors[0], &record), 1);
    scratch_truncate(path, 5000);
    unsigned sum = 0;
    for (size_t i = 0; i < record.value.len; i++)
        sum += (unsigned char)record.value.data[i];
    cr_expect_eq(sum, (5000 - 4) * 'x', "what is gone reads as zeros");
    cr_expect_eq(log_next(&cursors[0], &record), ERR_CHANGED);
    cr_expect_eq(log_next(&cursors[1], &record), ERR_CHANGED);
    cr_expect_eq(get_code(log[2], seqs[9]), ERR_CHANGED);
    cr_expect_eq(get_code(log[2], seqs[0]), ERR_CHANGED);
    cr_expect_neq(log_identity(log[3]), 0);
    cr_expect_eq(log_append(owner, &value, 1, NULL), ERR_CHANGED, "the owner does not write behind a hole");
    for (int i = 0; i < 4; i++)
        log_close(log[i]);
    log_close(owner);
}

/* ---- warming ---- */

static void put_mib(struct log *log, int mib)
{
    static char large[1 << 20];
    memset(large, 'x', sizeof large);
    struct slice value = { large, sizeof large };
    for (int i = 0; i < mib; i++)
        cr_assert_eq(log_append(log, &value, 1, NULL), OK);
}

static int64_t warm_all(struct log *log)
{
    int64_t calls = 0;
    while (calls < 100000 && log_warm(log))
        calls++;
    cr_expect(!log_warm(log), "once it is done it is done");
    return calls;
}

/* Pages of files that this process has mapped and present, in KiB. */
static int64_t present_kib(void)
{
    char line[200];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "RssFile: %ld", &kib) == 1) break;
    (void)fclose(file);
    return kib;
}

Test(log_offset, what_is_in_memory_is_present_after_warming)
{
    struct log *owner = open_log(false, LOG_CODEC_AUTO);
    put_mib(owner, 16);
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    int fd = open(path, O_RDONLY);
    char byte;
    const struct iovec one = { &byte, 1 };
    bool told = fd >= 0 && preadv2(fd, &one, 1, 0, RWF_NOWAIT) == 1;
    int64_t before = present_kib();
    cr_expect_eq(warm_all(log), 9, "2 MiB at a time, and the rest");
    int64_t more = present_kib() - before;
    if (told) cr_expect_gt(more, 12 << 10, "%lld KiB more", (long long)more);
    cr_expect_eq(count(log, false), 16);
    if (fd >= 0) (void)close(fd);
    log_close(log);
    log_close(owner);
}

Test(log_offset, warming_a_file_that_was_cut_is_no_crash_and_no_change)
{
    struct log *owner = open_log(false, LOG_CODEC_AUTO);
    put_mib(owner, 5);
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    struct log *other = open_log(true, LOG_CODEC_AUTO);
    cr_expect(log_warm(log));
    scratch_truncate(path, 5000);
    (void)warm_all(log);
    (void)warm_all(other);
    cr_expect_eq(get_code(other, 0), ERR_CHANGED);
    log_close(log);
    log_close(other);
    log_close(owner);
}

Test(log_offset, an_owner_does_not_write_over_what_somebody_else_wrote)
{
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    (void)put(log, "mine");
    scratch_write_at(path, "theirs", 6, log_bytes(log));
    struct slice value = SLICE_LITERAL("mine too");
    int64_t size = scratch_size(path);
    cr_expect_eq(log_append(log, &value, 1, NULL), ERR_CHANGED);
    cr_expect_eq(scratch_size(path), size);
    log_close(log);
}

/* A limit on the size of files stands for a full disk: the write stops half-way. */
Test(log_offset, a_failed_write_leaves_nothing_of_the_batch_and_the_log_usable)
{
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    int64_t first = put(log, "first");
    int64_t end = log_bytes(log);
    char text[1000];
    memset(text, 'x', sizeof text);
    struct slice batch[3] = { { text, 1000 }, { text, 1000 }, { text, 1000 } };
    struct rlimit before;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit tight = { 2000, before.rlim_max };
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int64_t seqs[3] = { -7, -7, -7 };
    int err = log_append(log, batch, 3, seqs);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_expect(err == ERR_NOSPACE && seqs[0] == -7, "%s", err_name(err));
    cr_expect_not_null(strstr(err_detail(ERR_NOSPACE), "write"));
    cr_expect_eq(scratch_size(path), end, "what was written of it is gone");
    cr_expect(log_since(log) == first && log_bytes(log) == end);
    cr_expect_eq(log_append(log, batch, 3, seqs), OK, "once there is room");
    cr_expect(seqs[0] == end && count(log, false) == 4);
    cr_expect_eq(log_sync(log), OK);
    cr_expect_eq(log_durable(log), seqs[2]);
    log_close(log);
}

/* The descriptor with which this process has the log open. */
static int log_fd(void)
{
    struct stat wanted, there;
    cr_assert_eq(stat(path, &wanted), 0);
    for (int fd = 3; fd < 1024; fd++)
        if (fstat(fd, &there) == 0 && there.st_dev == wanted.st_dev && there.st_ino == wanted.st_ino) return fd;
    cr_assert_fail("the log is not open");
    return -1;
}

/* A pipe in the file's place stands for a disk that cannot be synced: fsync refuses it. */
Test(log_offset, a_log_that_cannot_be_synced_takes_nothing_more)
{
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    int64_t first = put(log, "first"), second = -1;
    cr_assert_eq(log_sync(log), OK);
    second = put(log, "second");
    int fd = log_fd(), file = dup(fd), ends[2];
    cr_assert(file >= 0 && pipe(ends) == 0 && dup2(ends[1], fd) == fd);
    cr_expect_eq(log_sync(log), ERR_IO);
    cr_assert_eq(dup2(file, fd), fd);
    (void)close(file);
    (void)close(ends[0]);
    (void)close(ends[1]);
    cr_expect_eq(log_sync(log), ERR_IO, "the disk works again, but what it holds is not known");
    cr_expect_not_null(strstr(err_detail(ERR_IO), "not durable"));
    cr_expect_eq(log_durable(log), first);
    static const struct slice more = { "more", 4 };
    cr_expect_eq(log_append(log, &more, 1, NULL), ERR_READONLY);
    cr_expect_not_null(strstr(err_detail(ERR_READONLY), "sync"), "%s", err_detail(ERR_READONLY));
    struct log_record record;
    cr_expect_eq(log_get(log, second, &record), OK, "what was written can be read");
    log_close(log);
}

/* ---- after a crash ----------------------------------------------------------------------------------------- */

static void lock_say(long pid, int64_t end)
{
    char lock[SCRATCH_PATH];
    char text[64];
    scratch_path(folder, "log.offset.lock", lock);
    (void)snprintf(text, sizeof text, "%010ld %016lld\n", pid, (long long)end);
    scratch_write(lock, text, strlen(text));
}

static int64_t since_after(long pid, int64_t end)
{
    lock_say(pid, end);
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    int64_t since = log_since(log);
    log_close(log);
    return since;
}

static void refused_after(long pid, int64_t end, const char *why)
{
    struct log *log = NULL;
    lock_say(pid, end);
    cr_expect_eq(open_code(false, LOG_CODEC_AUTO, &log), ERR_CORRUPT, "%s", why);
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
}

Test(log_offset, an_orderly_end_is_written_down)
{
    char lock[SCRATCH_PATH];
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    (void)put(log, "{}");
    log_close(log);
    scratch_path(folder, "log.offset.lock", lock);
    size_t len;
    char *text = scratch_read(lock, &len);
    cr_expect_str_eq(text, "0000000000 0000000000000018\n");
    free(text);
}

/* 745 is the start of a record whose length is lost; whole ones follow. */
Test(log_offset, a_hole_above_what_is_durable_is_where_the_log_ends)
{
    static const int64_t durables[] = { 0, 143, 745 };
    for (size_t i = 0; i < 3; i++) {
        use_fixture("offset-v3-53.log");
        scratch_write_at(path, "\0\0\0\0", 4, 745);
        cr_expect_eq(since_after(1, durables[i]), 590, "durable up to %lld", (long long)durables[i]);
        cr_expect_eq(scratch_size(path), 745);
    }
    use_fixture("offset-v3-53.log");
    scratch_write_at(path, "\0\0\0\0", 4, 745);
    refused_after(1, 1740, "below it a hole is damage, and nothing is cut");
    refused_after(0, 143, "nor after an orderly end");
    refused_after(1, 144, "nor where no record ends: that is another file");
    cr_expect_eq(scratch_size(path), 1918);
}

Test(log_offset, data_of_which_a_sector_is_lost_is_where_the_log_ends)
{
    static char text[3000], zeros[3000];
    memset(text, 'x', sizeof text);
    struct slice values[3] = { SLICE_LITERAL("first"), { text, sizeof text }, SLICE_LITERAL("last") };
    int64_t seqs[3];
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    cr_assert_eq(log_append(log, values, 3, seqs), OK);
    log_close(log);
    scratch_write_at(path, zeros, sizeof zeros, seqs[1] + 4);
    cr_expect_eq(since_after(1, 0), seqs[2], "nothing but zeros is a deleted record");
    scratch_write_at(path, text, sizeof text, seqs[1] + 4);
    scratch_write_at(path, zeros, 511, 1024);
    cr_expect_eq(since_after(1, 0), seqs[2], "less than a sector was never lost");
    scratch_write_at(path, zeros, 512, 1024);
    cr_expect_eq(since_after(1, 0), seqs[0]);
}

Test(log_offset, a_whole_file_is_never_cut_off)
{
    struct log *log = NULL;
    use_fixture("offset-v3-53.log");
    scratch_write_at(path, "\0\0\0\0", 4, 745);
    scratch_truncate(path, INT64_C(65) << 20);
    lock_say(1, 0);
    cr_expect_eq(open_code(false, LOG_CODEC_AUTO, &log), ERR_CORRUPT, "more than a crash can lose");
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
    cr_expect_eq(scratch_size(path), INT64_C(65) << 20);
}

struct shared {
    struct log *log;
    atomic_int done;
};

static void *read_on(void *arg)
{
    struct shared *shared = arg;
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    int64_t n = 0;
    if (log_cursor_open(shared->log, &range, &cursor) != OK) return NULL;
    for (;;) {
        bool done = atomic_load(&shared->done) != 0;
        int got;
        while ((got = log_next(&cursor, &record)) == 1) {
            if (record.value.len != (size_t)(n % 300) + 1 || record.value.data[0] != (char)('a' + n % 26)) return NULL;
            n++;
        }
        if (got < 0) return NULL;
        if (done) break;
    }
    return (void *)(uintptr_t)n;
}

Test(log_offset, readers_in_other_threads_see_each_record_once)
{
    struct shared shared = { .log = open_log(false, LOG_CODEC_AUTO) };
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_on, &shared), 0);
    char text[300];
    for (int n = 0; n < 20000; n++) {
        memset(text, 'a' + n % 26, sizeof text);
        struct slice value = { text, (size_t)(n % 300) + 1 };
        cr_assert_eq(log_append(shared.log, &value, 1, NULL), OK);
    }
    atomic_store(&shared.done, 1);
    for (int i = 0; i < 3; i++) {
        void *n = NULL;
        (void)pthread_join(threads[i], &n);
        cr_expect_eq((uintptr_t)n, 20000);
    }
    log_close(shared.log);
}

/* ---- beyond 4 GiB ----------------------------------------------------------------------------------------- */

/* A deleted record of `len` bytes at `at`, as a hole. Answers where it ends. */
static int64_t put_hole(int64_t at, uint32_t len, int width)
{
    unsigned char tail[12];
    int64_t next = at + 8 + width + len;
    for (int i = 0; i < 4; i++)
        tail[i] = (unsigned char)(len >> (24 - 8 * i));
    for (int i = 0; i < width; i++)
        tail[4 + i] = (unsigned char)((uint64_t)next >> (8 * (width - 1 - i)));
    scratch_write_at(path, tail, 4, at);
    scratch_write_at(path, tail, 4 + (size_t)width, at + 4 + len);
    return next;
}

Test(log_offset, works_beyond_4_gib)
{
    struct log *log = open_log(false, LOG_CODEC_53);
    int64_t first = put(log, "before");
    int64_t hole = log_bytes(log);
    log_close(log);
    int64_t straddling = put_hole(hole, UINT32_C(3) << 30, 8);
    int64_t end = put_hole(straddling, UINT32_C(2) << 30, 8);
    log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), straddling);
    cr_expect_leq(warm_all(log), 1 + (1 << 30) / (2 << 20), "no more than the newest GiB");
    int64_t after = put(log, "after");
    cr_expect_eq(after, end);
    int64_t last = put(log, "last");
    cr_expect_gt(last, INT64_C(5) << 30);
    log_close(log);
    scratch_write_at(path, "torn", 4, scratch_size(path));
    log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), last);
    cr_expect_eq(get_code(log, after), OK);
    cr_expect_eq(get_code(log, after + 1), ERR_BOUNDARY);
    cr_expect_eq(get_code(log, straddling), ERR_DELETED);
    cr_expect_eq(get_code(log, first), OK);
    cr_expect_eq(count(log, false), 3);
    cr_expect_eq(count(log, true), 3);
    log_close(log);
    int64_t records;
    int64_t deleted;
    struct log_offset_options options = { .path = path };
    cr_expect_eq(log_offset_verify(&options, NULL, NULL, NULL, &records, &deleted), OK);
    cr_expect(records == 5 && deleted == 2);
}

Test(log_offset, a_32_bit_log_is_full_at_4_gib)
{
    int64_t end = put_hole(0, UINT32_MAX - 200, 4);
    struct log *log = open_log(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_bytes(log), end);
    char text[300];
    memset(text, 'x', sizeof text);
    size_t fits = (size_t)(UINT32_MAX - end) - 12;
    struct slice batch[2] = { SLICE_LITERAL("x"), { text, fits } };
    cr_expect_eq(log_append(log, batch, 2, NULL), ERR_LIMIT);
    cr_expect_not_null(strstr(err_detail(ERR_LIMIT), "32 bit"));
    cr_expect_not_null(strstr(err_detail(ERR_LIMIT), "sluice import"));
    cr_expect_eq(scratch_size(path), end, "none of the batch");
    struct slice over = { text, fits + 1 };
    cr_expect_eq(log_append(log, &over, 1, NULL), ERR_LIMIT);
    cr_expect_eq(log_append(log, &batch[1], 1, NULL), OK, "to the last byte");
    cr_expect_eq(log_bytes(log), (int64_t)UINT32_MAX);
    cr_expect_eq(log_append(log, batch, 1, NULL), ERR_LIMIT);
    cr_expect_eq(count(log, false), 1);
    log_close(log);
}

/* ---- damage ----------------------------------------------------------------------------------------------- */

struct damages {
    struct log_damage list[8];
    size_t n;
};

static void note_damage(void *ctx, const struct log_damage *damage)
{
    struct damages *damages = ctx;
    if (damages->n < 8) damages->list[damages->n] = *damage;
    damages->n++;
}

static int verify(struct damages *damages, enum log_codec *ret_codec, int64_t *ret_records, int64_t *ret_deleted)
{
    struct log_offset_options options = { .path = path };
    *damages = (struct damages){ .n = 0 };
    return log_offset_verify(&options, note_damage, damages, ret_codec, ret_records, ret_deleted);
}

Test(log_offset, verify_counts_a_sound_file)
{
    struct damages damages;
    enum log_codec codec;
    int64_t records;
    int64_t deleted;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        use_fixture(fixtures[i].name);
        cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK, "%s", fixtures[i].name);
        cr_expect(codec == fixtures[i].codec && records == RECORDS && deleted == 0 && damages.n == 0);
    }
    use_fixture("offset-v3-32-deleted.log");
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK);
    cr_expect(records == RECORDS && deleted == 2);
    cr_expect_eq(scratch_count(folder), 1, "verify writes nothing");
    scratch_truncate(path, 0);
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), OK);
    cr_expect(records == 0 && codec == LOG_CODEC_AUTO);
    (void)remove(path);
    cr_expect_eq(verify(&damages, &codec, &records, &deleted), ERR_NOFILE);
}

/* One byte of each record's frame, in turn: the damage is that record and no other. */
static void check_verify_hole(const struct fixture *fixture, int64_t size)
{
    static const char flipped = (char)0xA5;
    int width = fixture->codec == LOG_CODEC_V2   ? 0
                : fixture->codec == LOG_CODEC_32 ? 4
                : fixture->codec == LOG_CODEC_48 ? 6
                                                 : 8;
    for (int i = 0; i < RECORDS; i++) {
        int64_t start = fixture->seqs[i];
        int64_t end = i + 1 < RECORDS ? fixture->seqs[i + 1] : size;
        for (int64_t k = 0; k < 8 + width; k++) {
            struct damages damages;
            enum log_codec codec;
            int64_t records = -1;
            use_fixture(fixture->name);
            int64_t at = k < 4 ? start + k : end - 4 - width + (k - 4);
            scratch_write_at(path, &flipped, 1, at);
            struct log_offset_options options = { .path = path, .codec = width == 0 ? LOG_CODEC_V2 : LOG_CODEC_AUTO };
            damages.n = 0;
            int err = log_offset_verify(&options, note_damage, &damages, &codec, &records, NULL);
            cr_assert_eq(err, ERR_CORRUPT, "%s: byte %lld", fixture->name, (long long)at);
            cr_assert(damages.n == 1 && records == RECORDS - 1 && codec == fixture->codec, "%s: byte %lld: %zu damages",
                      fixture->name, (long long)at, damages.n);
            cr_assert(damages.list[0].at == start && damages.list[0].bytes == end - start, "%s: byte %lld",
                      fixture->name, (long long)at);
            cr_assert_eq(damages.list[0].tail, end == size);
        }
    }
}

Test(log_offset, verify_finds_each_damaged_record_and_goes_on)
{
    static const int64_t sizes[] = { 1870, 1894, 1918, 1822 };
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        check_verify_hole(&fixtures[i], sizes[i]);
}

Test(log_offset, verify_tells_a_torn_tail_from_a_hole)
{
    struct damages damages;
    enum log_codec codec;
    int64_t records;
    use_fixture("offset-v3-32-torn.log");
    scratch_write_at(path, "\xff", 1, 281);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_CORRUPT);
    cr_expect_eq(damages.n, 2);
    cr_expect(damages.list[0].at == 281 && damages.list[0].bytes == 145 && !damages.list[0].tail);
    cr_expect(damages.list[1].at == 1696 && damages.list[1].bytes == 1865 - 1696 && damages.list[1].tail);
    cr_expect_eq(records, RECORDS - 2);
    scratch_write(path, "no log at all, just some text", 29);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_FORMAT);
    scratch_write(path, "\0\0\0\x10torn", 8);
    cr_expect_eq(verify(&damages, &codec, &records, NULL), ERR_CORRUPT);
    cr_expect(damages.n == 1 && damages.list[0].tail && records == 0);
}

Test(log_offset, damage_amid_the_log_is_an_error_with_its_place)
{
    use_fixture("offset-v3-53.log");
    scratch_write_at(path, "\xff", 1, 745);
    struct log *log = open_log(true, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), 1740);
    cr_expect_eq(count(log, false), ERR_CORRUPT);
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "offset 745"));
    cr_expect_not_null(strstr(err_detail(ERR_CORRUPT), "sluice verify"));
    cr_expect_eq(count(log, true), ERR_CORRUPT);
    cr_expect_eq(get_code(log, 745), ERR_CORRUPT);
    cr_expect_eq(get_code(log, 590), OK);
    cr_expect_eq(get_code(log, 903), OK);
    struct log_range after = { 903, SEQ_MAX, false };
    struct log_cursor cursor;
    struct log_record record;
    cr_assert_eq(log_cursor_open(log, &after, &cursor), OK, "what lies behind can be read");
    cr_expect_eq(log_next(&cursor, &record), 1);
    log_close(log);
}

/* The length of the first record reads as one that leads behind the end, as in a file that holds no more than a torn record. */
Test(log_offset, a_damaged_first_length_does_not_empty_the_log)
{
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        for (int told = 0; told < 2; told++) {
            use_fixture(fixtures[i].name);
            int64_t size = scratch_size(path);
            scratch_write_at(path, "\x08", 1, 1);
            struct log *log = NULL;
            enum log_codec codec = told ? fixtures[i].codec : LOG_CODEC_AUTO;
            cr_expect_eq(open_code(false, codec, &log), ERR_CORRUPT, "%s", fixtures[i].name);
            cr_expect_eq(open_code(true, codec, &log), ERR_CORRUPT, "%s", fixtures[i].name);
            cr_expect(log == NULL && scratch_size(path) == size, "%s", fixtures[i].name);
        }
}

/* Any bytes: opening, reading, verifying end with an answer, and what is counted fits the file. */
Test(log_offset, survives_any_bytes)
{
    struct dice dice = dice_make();
    for (int round = 0; round < 400; round++) {
        const struct fixture *fixture = &fixtures[dice_roll(&dice, 4)];
        use_fixture(fixture->name);
        for (uint64_t i = 1 + dice_roll(&dice, 4); i > 0; i--) {
            char byte = (char)dice_roll(&dice, 256);
            scratch_write_at(path, &byte, 1, (int64_t)dice_roll(&dice, 1900));
        }
        struct damages damages;
        enum log_codec codec;
        (void)verify(&damages, &codec, NULL, NULL);
        struct log *log;
        bool follow = dice_roll(&dice, 2) == 0;
        if (open_code(follow, LOG_CODEC_AUTO, &log) != OK) continue;
        int64_t forward = count(log, false);
        int64_t reverse = count(log, true);
        cr_assert(forward == reverse || forward == ERR_CORRUPT || reverse == ERR_CORRUPT, "SLUICE_TEST_SEED=%llu",
                  (unsigned long long)dice.seed);
        for (int64_t seq = 0; seq < 1900; seq++)
            (void)get_code(log, seq);
        cr_assert_geq(log_refresh(log), 0);
        log_close(log);
    }
}
