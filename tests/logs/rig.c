#include "tests/logs/rig.h"

#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"

struct kind {
    const char *name;
    enum log_codec codec; /* AUTO: the memory log */
    bool followed;
};

static const struct kind kinds[] = {
    { "memory", LOG_CODEC_AUTO, false },       { "offset 53 bit", LOG_CODEC_53, false },
    { "offset 48 bit", LOG_CODEC_48, false },  { "offset 32 bit", LOG_CODEC_32, false },
    { "followed 53 bit", LOG_CODEC_53, true }, { "followed 32 bit", LOG_CODEC_32, true },
};

static void rig_open_logs(struct rig *rig, bool followed)
{
    struct log_offset_options own = { .path = rig->path, .codec = rig->codec };
    cr_assert_eq(log_offset_open(&own, NULL, &rig->writer), OK, "%s: %s", rig->kind, err_detail(ERR_IO));
    rig->reader = rig->writer;
    if (!followed) return;
    struct log_offset_options follow = { .path = rig->path, .follow = true };
    cr_assert_eq(log_offset_open(&follow, NULL, &rig->reader), OK, "%s", rig->kind);
}

static void rig_close_logs(struct rig *rig)
{
    if (rig->reader != rig->writer) log_close(rig->reader);
    log_close(rig->writer);
}

void rig_each(void (*check)(struct rig *rig))
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct rig rig = { .kind = kinds[i].name, .codec = kinds[i].codec };
        if (kinds[i].codec == LOG_CODEC_AUTO) {
            cr_assert_eq(log_memory_open(&rig.writer), OK);
            rig.reader = rig.writer;
        } else {
            rig.folder = scratch_make();
            scratch_path(rig.folder, "log.offset", rig.path);
            rig_open_logs(&rig, kinds[i].followed);
        }
        check(&rig);
        rig_close_logs(&rig);
        scratch_remove(rig.folder);
    }
}

void rig_settle(struct rig *rig)
{
    int moved = log_refresh(rig->reader);
    cr_assert_geq(moved, 0, "%s: refresh: %s", rig->kind, err_detail(moved));
    cr_assert_eq(log_since(rig->reader), log_since(rig->writer), "%s: the reader is behind", rig->kind);
}

int64_t rig_put(struct rig *rig, const char *text)
{
    int64_t seq = -2;
    struct slice value = { text, strlen(text) };
    int err = log_append(rig->writer, &value, 1, &seq);
    cr_assert_eq(err, OK, "%s: append: %s", rig->kind, err_detail(err));
    rig_settle(rig);
    return seq;
}

void rig_expect(struct rig *rig, struct log_cursor *cursor, int64_t seq, const char *text)
{
    struct log_record record;
    int got = log_next(cursor, &record);
    cr_assert_eq(got, 1, "%s: next answers %d, not seq %lld", rig->kind, got, (long long)seq);
    cr_assert_eq(record.seq, seq, "%s: seq %lld, not %lld", rig->kind, (long long)record.seq, (long long)seq);
    cr_assert(record.value.len == strlen(text) && memcmp(record.value.data, text, record.value.len) == 0,
              "%s: seq %lld: other bytes than %s", rig->kind, (long long)seq, text);
}

void rig_reopen(struct rig *rig)
{
    if (rig->folder == NULL) return;
    bool followed = rig->reader != rig->writer;
    rig_close_logs(rig);
    rig_open_logs(rig, followed);
}
