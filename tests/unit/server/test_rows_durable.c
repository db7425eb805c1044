/* Streams over a disk whose syncs are held back: what a power cut may take is not shown. */
#include <criterion/criterion.h>

#include "server/rows_log.h"
#include "tests/support/flume_kit.h"
#include "tests/support/scratch.h"

static char *dir;
static struct fake_disk *disk;
static const struct config config = { .query_timeout = 60 };
static struct server server;
static struct rows *rows;

static void setup(void)
{
    dir = scratch_make();
    disk = fake_disk_make(false);
    struct flume_options options = kit_options(disk, dir, NULL);
    server = (struct server){ .config = &config, .flume = kit_open(&options), .owned = true };
}

static void teardown(void)
{
    rows_free(rows);
    fake_disk_hold_syncs(disk, false);
    flume_close(server.flume);
    fake_disk_free(disk);
    scratch_remove(dir);
}

TestSuite(rows_durable, .init = setup, .fini = teardown, .timeout = 300);

Test(rows_durable, a_stream_waits_for_the_disk)
{
    struct filter_params params;
    int64_t first, second, seq = SEQ_EMPTY;
    cr_assert_eq(kit_append_text(server.flume, "1", false, &first), OK);
    fake_disk_hold_syncs(disk, true);
    cr_assert_eq(kit_append_text(server.flume, "2", true, &second), OK);
    filter_params_init(&params);
    params.live = true;
    cr_assert_eq(rows_log_open_params(&server, &params, &rows), OK);
    struct buf out;
    buf_init(&out, 4096);
    cr_expect_eq(rows_next(rows, &out), 1);
    cr_expect_eq(rows->cursor, first);
    cr_expect_eq(rows_log_peek(rows, &seq), 0, "record %lld is shown before it is durable", (long long)seq);
    fake_disk_hold_syncs(disk, false);
    cr_expect_eq(kit_wait(server.flume, KIT_BOTH, second, KIT_WAIT_MS), OK);
    cr_expect_eq(rows_log_peek(rows, &seq), 1);
    cr_expect_eq(seq, second);
    buf_free(&out);
}
