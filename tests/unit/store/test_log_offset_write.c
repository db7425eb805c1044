/* What is written, beside others who read or write, and where the room ends: writes and syncs that fail, a file beyond 4 GiB. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/support/scratch.h"
#include "tests/unit/store/offset_kit.h"

TestSuite(log_offset_write, .init = offset_begin, .fini = offset_end, .timeout = 300);

Test(log_offset_write, an_owner_does_not_write_over_what_somebody_else_wrote)
{
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    (void)offset_put(log, "mine");
    scratch_write_at(offset_path, "theirs", 6, log_bytes(log));
    struct slice value = SLICE_LITERAL("mine too");
    int64_t size = scratch_size(offset_path);
    cr_expect_eq(log_append(log, &value, 1, NULL), ERR_CHANGED);
    cr_expect_eq(scratch_size(offset_path), size);
    log_close(log);
}

/* A limit on the size of files stands for a full disk: the write stops half-way. */
Test(log_offset_write, a_failed_write_leaves_nothing_of_the_batch_and_the_log_usable)
{
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    int64_t first = offset_put(log, "first");
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
    cr_expect_eq(scratch_size(offset_path), end, "what was written of it is gone");
    cr_expect(log_since(log) == first && log_bytes(log) == end);
    cr_expect_eq(log_append(log, batch, 3, seqs), OK, "once there is room");
    cr_expect(seqs[0] == end && offset_count(log, false) == 4);
    cr_expect_eq(log_sync(log), OK);
    cr_expect_eq(log_durable(log), seqs[2]);
    log_close(log);
}

/* The descriptor with which this process has the log open. */
static int log_fd(void)
{
    struct stat wanted, there;
    cr_assert_eq(stat(offset_path, &wanted), 0);
    for (int fd = 3; fd < 1024; fd++)
        if (fstat(fd, &there) == 0 && there.st_dev == wanted.st_dev && there.st_ino == wanted.st_ino) return fd;
    cr_assert_fail("the log is not open");
    return -1;
}

/* A pipe in the file's place stands for a disk that cannot be synced: fsync refuses it. */
Test(log_offset_write, a_log_that_cannot_be_synced_takes_nothing_more)
{
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    int64_t first = offset_put(log, "first"), second = -1;
    cr_assert_eq(log_sync(log), OK);
    second = offset_put(log, "second");
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

Test(log_offset_write, readers_in_other_threads_see_each_record_once)
{
    struct shared shared = { .log = offset_open(false, LOG_CODEC_AUTO) };
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

/* A deleted record of `len` bytes at `at`, as a hole. Answers where it ends. */
static int64_t put_hole(int64_t at, uint32_t len, int width)
{
    unsigned char tail[12];
    int64_t next = at + 8 + width + len;
    for (int i = 0; i < 4; i++)
        tail[i] = (unsigned char)(len >> (24 - 8 * i));
    for (int i = 0; i < width; i++)
        tail[4 + i] = (unsigned char)((uint64_t)next >> (8 * (width - 1 - i)));
    scratch_write_at(offset_path, tail, 4, at);
    scratch_write_at(offset_path, tail, 4 + (size_t)width, at + 4 + len);
    return next;
}

Test(log_offset_write, works_beyond_4_gib)
{
    struct log *log = offset_open(false, LOG_CODEC_53);
    int64_t first = offset_put(log, "before");
    int64_t hole = log_bytes(log);
    log_close(log);
    int64_t straddling = put_hole(hole, UINT32_C(3) << 30, 8);
    int64_t end = put_hole(straddling, UINT32_C(2) << 30, 8);
    log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), straddling);
    cr_expect_leq(offset_warm_all(log), 1 + (1 << 30) / (2 << 20), "no more than the newest GiB");
    int64_t after = offset_put(log, "after");
    cr_expect_eq(after, end);
    int64_t last = offset_put(log, "last");
    cr_expect_gt(last, INT64_C(5) << 30);
    log_close(log);
    scratch_write_at(offset_path, "torn", 4, scratch_size(offset_path));
    log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_since(log), last);
    cr_expect_eq(offset_get_code(log, after), OK);
    cr_expect_eq(offset_get_code(log, after + 1), ERR_BOUNDARY);
    cr_expect_eq(offset_get_code(log, straddling), ERR_DELETED);
    cr_expect_eq(offset_get_code(log, first), OK);
    cr_expect_eq(offset_count(log, false), 3);
    cr_expect_eq(offset_count(log, true), 3);
    log_close(log);
    int64_t records;
    int64_t deleted;
    struct log_offset_options options = { .path = offset_path };
    cr_expect_eq(log_offset_verify(&options, NULL, NULL, NULL, &records, &deleted), OK);
    cr_expect(records == 5 && deleted == 2);
}

Test(log_offset_write, a_32_bit_log_is_full_at_4_gib)
{
    int64_t end = put_hole(0, UINT32_MAX - 200, 4);
    struct log *log = offset_open(false, LOG_CODEC_AUTO);
    cr_expect_eq(log_bytes(log), end);
    char text[300];
    memset(text, 'x', sizeof text);
    size_t fits = (size_t)(UINT32_MAX - end) - 12;
    struct slice batch[2] = { SLICE_LITERAL("x"), { text, fits } };
    cr_expect_eq(log_append(log, batch, 2, NULL), ERR_LIMIT);
    cr_expect_not_null(strstr(err_detail(ERR_LIMIT), "32 bit"));
    cr_expect_not_null(strstr(err_detail(ERR_LIMIT), "sluice import"));
    cr_expect_eq(scratch_size(offset_path), end, "none of the batch");
    struct slice over = { text, fits + 1 };
    cr_expect_eq(log_append(log, &over, 1, NULL), ERR_LIMIT);
    cr_expect_eq(log_append(log, &batch[1], 1, NULL), OK, "to the last byte");
    cr_expect_eq(log_bytes(log), (int64_t)UINT32_MAX);
    cr_expect_eq(log_append(log, batch, 1, NULL), ERR_LIMIT);
    cr_expect_eq(offset_count(log, false), 1);
    log_close(log);
}
