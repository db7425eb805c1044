/* A file of the offset log from arbitrary bytes: opened as a follower and as an owner, read in both directions and by seq,
 * extended, cut, and opened again. The first byte is the codec told, the second how the file is made: from the bytes as they
 * are, or by a script that writes records and then damages them. Run with tests/fuzz/corpus/log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/err.h"
#include "store/log.h"
#include "store/log_offset_frame.h"
#include "tests/support/scratch.h"

#define FILE_MAX ((size_t)1 << 16)
#define SEQS_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;
static char path[SCRATCH_PATH];

static void must(bool right, const char *what)
{
    if (right) return;
    (void)fprintf(stderr, "fuzz_log: %s (%s)\n", what, err_detail(OK));
    abort();
}

static void folder_remove(void)
{
    scratch_remove(folder);
}

static void folder_make(void)
{
    if (folder != NULL) return;
    folder = scratch_make();
    scratch_path(folder, "log.offset", path);
    (void)atexit(folder_remove);
}

/* ---- making the file ---- */

struct script {
    const uint8_t *at, *end;
};

static uint8_t script_byte(struct script *script)
{
    return script->at < script->end ? *script->at++ : 0;
}

static void script_record(struct script *script, int width, struct buf *file)
{
    char data[256];
    uint8_t len = script_byte(script), fill = script_byte(script);
    memset(data, fill, sizeof data);
    (void)frame_put(file, (struct slice){ data, len }, (int64_t)file->len, width);
}

static size_t script_place(struct script *script, const struct buf *file)
{
    size_t place = script_byte(script);
    place = place << 8 | script_byte(script);
    return file->len == 0 ? 0 : place % file->len;
}

static void script_run(struct script *script, int width, struct buf *file)
{
    while (script->at < script->end && file->len < FILE_MAX / 2) {
        uint8_t op = script_byte(script);
        size_t place = 0;
        if (op < 160) {
            script_record(script, width, file);
        } else if (op < 200) {
            place = script_place(script, file);
            if (file->len > 0) file->data[place] = (char)script_byte(script);
        } else if (op < 220) {
            file->len -= file->len == 0 ? 0 : script_place(script, file) % 32 % file->len;
        } else {
            (void)buf_putc(file, (char)script_byte(script));
        }
    }
}

static enum log_codec file_make(const uint8_t *data, size_t size, struct buf *file)
{
    static const enum log_codec codecs[] = { LOG_CODEC_AUTO, LOG_CODEC_V2, LOG_CODEC_32, LOG_CODEC_48, LOG_CODEC_53 };
    struct script script = { data + 2, data + size };
    enum log_codec codec = codecs[data[0] % 5];
    if (data[1] % 2 == 0) {
        (void)buf_append(file, data + 2, size - 2);
    } else {
        enum log_codec made = codecs[1 + data[1] / 2 % 4];
        script_run(&script, frame_width(made), file);
    }
    return codec;
}

/* ---- reading it ---- */

struct listing {
    int64_t seqs[SEQS_MAX];
    size_t count;
    int end; /* 0 = the cursor came to its end, else the error that stopped it */
};

static void list_read(struct log *log, bool reverse, struct listing *ret)
{
    struct log_range range = LOG_RANGE_ALL;
    struct log_cursor cursor;
    struct log_record record;
    range.reverse = reverse;
    ret->count = 0;
    ret->end = log_cursor_open(log, &range, &cursor);
    while (ret->end == OK) {
        int got = log_next(&cursor, &record);
        if (got != 1) ret->end = got;
        if (got != 1) break;
        must(record.value.len > 0, "an empty record was shown");
        must(ret->count == 0 || (record.seq > ret->seqs[ret->count - 1]) != reverse, "records out of order");
        if (ret->count < SEQS_MAX) ret->seqs[ret->count++] = record.seq;
    }
    must(ret->end == OK || ret->end == ERR_CORRUPT, "a scan ended with an odd error");
}

static bool listing_has(const struct listing *list, int64_t seq)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->seqs[i] == seq) return true;
    return false;
}

/* Any offset may be asked for; what a scan has shown is there. */
static void check_gets(struct log *log, const struct listing *list, int64_t size)
{
    struct log_record record;
    for (int64_t seq = -2; seq < size + 3 && seq < 2048; seq++) {
        int got = log_get(log, seq, &record);
        must(got == OK || got == ERR_NOSEQ || got == ERR_BOUNDARY || got == ERR_DELETED || got == ERR_CORRUPT,
             "a get ended with an odd error");
        if (got == OK) must(record.seq == seq && seq + (int64_t)record.value.len <= size, "a record outside the file");
        if (listing_has(list, seq)) must(got == OK, "a scan shows what get does not");
    }
}

/* Both directions give the same; if one of them stops at a damage, they give the two sides of it. */
static void check_directions(struct log *log, const struct listing *forward)
{
    static struct listing back;
    list_read(log, true, &back);
    must((back.end == OK) == (forward->end == OK), "only one direction sees a damage");
    if (back.end != OK || forward->count == SEQS_MAX) return;
    must(back.count == forward->count, "the directions differ in length");
    for (size_t i = 0; i < back.count; i++)
        must(back.seqs[i] == forward->seqs[forward->count - 1 - i], "the directions differ");
}

/* From each record on, and back from it. */
static void check_ranges(struct log *log, const struct listing *all)
{
    static struct listing part;
    for (size_t i = 0; i < all->count && i < 32; i++) {
        struct log_range range = { all->seqs[i], all->seqs[all->count - 1], i % 2 == 1 };
        struct log_cursor cursor;
        struct log_record record;
        must(log_cursor_open(log, &range, &cursor) == OK, "a range that begins at a record");
        part.count = 0;
        while (log_next(&cursor, &record) == 1 && part.count < SEQS_MAX)
            part.seqs[part.count++] = record.seq;
        if (all->end != OK && range.reverse) continue;
        must(part.count == all->count - i, "a range has another length than its part of the whole");
    }
}

static int open_log(enum log_codec codec, bool follow, struct log_offset_opened *opened, struct log **ret)
{
    int err = log_offset_open(&(struct log_offset_options){ path, follow, codec }, opened, ret);
    must(err == OK || err == ERR_FORMAT || err == ERR_CORRUPT, "opening ended with an odd error");
    return err;
}

/* ---- the parts ---- */

static void check_followed(enum log_codec codec, size_t size, struct listing *ret_list, int *ret_err)
{
    struct log *log = NULL;
    ret_list->count = 0;
    *ret_err = open_log(codec, true, NULL, &log);
    if (*ret_err != OK) return;
    must(log_since(log) == log_durable(log), "a followed log is durable");
    must(log_bytes(log) <= (int64_t)size, "more whole bytes than there are");
    (void)log_identity(log);
    must(log_refresh(log) >= 0, "a refresh of what nobody changed");
    list_read(log, false, ret_list);
    check_directions(log, ret_list);
    check_gets(log, ret_list, (int64_t)size);
    check_ranges(log, ret_list);
    log_close(log);
}

static int check_verify(enum log_codec codec, const struct listing *list, int opened)
{
    int64_t records = 0, deleted = 0;
    struct log_offset_options options = { path, true, codec };
    enum log_codec found;
    int err = log_offset_verify(&options, NULL, NULL, &found, &records, &deleted);
    must(err == OK || err == ERR_FORMAT || err == ERR_CORRUPT, "verify ended with an odd error");
    if (err != OK || opened != OK) return err;
    must(list->end == OK, "verify finds nothing, a scan does");
    must(list->count == SEQS_MAX || (int64_t)list->count == records - deleted, "verify counts otherwise");
    return OK;
}

/* What was cut off stands beside the log; both together are what there was. */
static void check_cut(const struct log_offset_opened *opened, const struct buf *file)
{
    size_t len = 0;
    must(opened->cut_at >= 0 && opened->cut_bytes > 0, "a cut of nothing");
    must((size_t)(opened->cut_at + opened->cut_bytes) == file->len, "the cut does not end where the file did");
    char *cut = scratch_read(opened->cut_path, &len);
    must(len == (size_t)opened->cut_bytes && memcmp(cut, file->data + opened->cut_at, len) == 0,
         "the cut bytes are not what was there");
    free(cut);
    must(unlink(opened->cut_path) == 0, "no file beside the log");
}

static void same_lists(const struct listing *a, const struct listing *b, const char *what)
{
    must(a->end == b->end && a->count == b->count, what);
    must(a->count == 0 || memcmp(a->seqs, b->seqs, a->count * sizeof a->seqs[0]) == 0, what);
}

/* A log that was repaired takes records, and needs no repair the next time. */
static void check_owned(enum log_codec codec, const struct buf *file, const struct listing *followed, int opened_err,
                        int verified)
{
    static struct listing before, after;
    struct log_offset_opened opened;
    struct log *log = NULL;
    int64_t seq;
    int err = open_log(codec, false, &opened, &log);
    /* a log with damage amid its records can be read, but is not written to */
    bool damaged = err == ERR_CORRUPT && opened_err == OK && verified == ERR_CORRUPT;
    must(err == opened_err || damaged, "owner and follower do not agree on what can be opened");
    if (err != OK) {
        must((size_t)scratch_size(path) == file->len, "a log that was refused was changed");
        return;
    }
    if (opened.cut_at >= 0) check_cut(&opened, file);
    list_read(log, false, &before);
    same_lists(&before, followed, "owner and follower see other records");
    static const struct slice value = { "{\"new\":true}", 12 };
    err = log_append(log, &value, 1, &seq);
    must(err == (opened.codec == LOG_CODEC_V2 ? ERR_READONLY : OK), "an append to a repaired log");
    if (err == OK) must(log_sync(log) == OK && log_durable(log) == seq, "a sync");
    log_close(log);
    if (err != OK) return;
    must(open_log(opened.codec, false, &opened, &log) == OK && opened.cut_at < 0, "the log is torn again");
    must(log_since(log) == seq, "the last record is not what was appended");
    list_read(log, false, &after);
    if (before.end == OK && before.count < SEQS_MAX)
        must(after.count == before.count + 1, "an append changes other records");
    log_close(log);
}

/* The same bytes arriving in two parts. */
static void check_growth(enum log_codec codec, const struct buf *file, const struct listing *whole, bool sound)
{
    static struct listing list;
    struct log *log = NULL;
    size_t half = file->len / 2;
    scratch_write(path, file->data, half);
    if (open_log(codec, true, NULL, &log) != OK) return;
    scratch_write_at(path, file->data + half, file->len - half, (int64_t)half);
    int moved = log_refresh(log);
    must(moved >= 0 || moved == ERR_CHANGED || moved == ERR_FORMAT || moved == ERR_CORRUPT, "a refresh");
    if (moved >= 0) list_read(log, false, &list);
    if (moved >= 0 && sound) same_lists(&list, whole, "a log that grew is not the log that was there");
    scratch_truncate(path, (int64_t)half / 2);
    struct log_cursor cursor;
    struct log_record record;
    struct log_range range = LOG_RANGE_ALL;
    if (log_cursor_open(log, &range, &cursor) == OK)
        while (log_next(&cursor, &record) == 1) {
        }
    moved = log_refresh(log);
    must(moved <= 0, "a log that shrank moved on");
    log_close(log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct listing list;
    struct buf file;
    int opened;
    if (size < 2 || size > FILE_MAX) return 0;
    folder_make();
    buf_init(&file, 2 * FILE_MAX);
    enum log_codec codec = file_make(data, size, &file);
    must(buf_reserve(&file, 1) == OK, "memory");
    scratch_write(path, file.data, file.len);
    check_followed(codec, file.len, &list, &opened);
    int verified = check_verify(codec, &list, opened);
    check_owned(codec, &file, &list, opened, verified);
    check_growth(codec, &file, &list, verified == OK && opened == OK);
    buf_free(&file);
    return 0;
}
