#include "tests/unit/store/offset_kit.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"

const struct offset_fixture offset_fixtures[4] = {
    { "offset-v3-32.log", LOG_CODEC_32, 1696, { 0, 139, 281, 426, 574, 725, 879, 1036, 1196, 1359, 1525, 1696 } },
    { "offset-v3-48.log", LOG_CODEC_48, 1718, { 0, 141, 285, 432, 582, 735, 891, 1050, 1212, 1377, 1545, 1718 } },
    { "offset-v3-53.log", LOG_CODEC_53, 1740, { 0, 143, 289, 438, 590, 745, 903, 1064, 1228, 1395, 1565, 1740 } },
    { "offset-v2-legacy.log", LOG_CODEC_V2, 1652, { 0, 135, 273, 414, 558, 705, 855, 1008, 1164, 1323, 1485, 1652 } },
};

char *offset_folder;
char offset_path[SCRATCH_PATH];

void offset_begin(void)
{
    offset_folder = scratch_make();
    scratch_path(offset_folder, "log.offset", offset_path);
}

void offset_end(void)
{
    scratch_remove(offset_folder);
}

int offset_open_code(bool follow, enum log_codec codec, struct log **ret_log)
{
    struct log_offset_options options = { .path = offset_path, .follow = follow, .codec = codec };
    return log_offset_open(&options, NULL, ret_log);
}

struct log *offset_open(bool follow, enum log_codec codec)
{
    struct log *log = NULL;
    int err = offset_open_code(follow, codec, &log);
    cr_assert_eq(err, OK, "%s: %s", err_name(err), err_detail(err));
    return log;
}

void offset_use(const char *name)
{
    char from[SCRATCH_PATH];
    scratch_path(OFFSET_FIXTURES, name, from);
    size_t len;
    char *bytes = scratch_read(from, &len);
    scratch_write(offset_path, bytes, len);
    free(bytes);
}

int64_t offset_put(struct log *log, const char *text)
{
    struct slice value = { text, strlen(text) };
    int64_t seq = -7;
    int err = log_append(log, &value, 1, &seq);
    cr_assert_eq(err, OK, "append: %s", err_detail(err));
    return seq;
}

int offset_get_code(struct log *log, int64_t seq)
{
    struct log_record record;
    return log_get(log, seq, &record);
}

int64_t offset_count(struct log *log, bool reverse)
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

void offset_expect(struct log *log, const struct offset_fixture *fixture)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    cr_expect_eq(log_since(log), fixture->since, "%s", fixture->name);
    cr_assert_eq(log_cursor_open(log, &range, &cursor), OK);
    for (int i = 0; i < OFFSET_RECORDS; i++) {
        char start[32];
        int len = snprintf(start, sizeof start, "{\"key\":\"%%msg%d\",", i);
        cr_assert_eq(log_next(&cursor, &record), 1, "%s: record %d", fixture->name, i);
        cr_expect_eq(record.seq, fixture->seqs[i], "%s: record %d", fixture->name, i);
        cr_expect_eq(memcmp(record.value.data, start, (size_t)len), 0, "%s: record %d", fixture->name, i);
        cr_expect_eq(record.value.data[record.value.len - 1], '}');
    }
    cr_expect_eq(log_next(&cursor, &record), 0);
    cr_expect_eq(offset_count(log, true), OFFSET_RECORDS, "%s: backwards", fixture->name);
}

int64_t offset_warm_all(struct log *log)
{
    int64_t calls = 0;
    while (calls < 100000 && log_warm(log))
        calls++;
    cr_expect(!log_warm(log), "once it is done it is done");
    return calls;
}
