#include "tests/logs/rig.h"

#include <criterion/criterion.h>
#include <string.h>

#include "store/err.h"

/* Opens a log of a kind: its file is rig->path if the kind has one. `follow`: for reading, beside its writer. */
typedef int rig_open_fn(const struct rig *rig, bool follow, struct log **ret_log);

static int open_memory(const struct rig *rig, bool follow, struct log **ret_log)
{
    (void)rig;
    (void)follow;
    return log_memory_open(ret_log);
}

static int open_offset(const struct rig *rig, bool follow, struct log **ret_log)
{
    const struct log_offset_options options = { .path = rig->path,
                                                .codec = follow ? LOG_CODEC_AUTO : rig->codec,
                                                .follow = follow };
    return log_offset_open(&options, NULL, ret_log);
}

struct kind {
    const char *name;
    rig_open_fn *open;
    enum log_codec codec;
    bool file, followed;
};

static const struct kind kinds[] = {
    { "memory", open_memory, LOG_CODEC_AUTO, false, false },
    { "offset 53 bit", open_offset, LOG_CODEC_53, true, false },
    { "offset 48 bit", open_offset, LOG_CODEC_48, true, false },
    { "offset 32 bit", open_offset, LOG_CODEC_32, true, false },
    { "followed 53 bit", open_offset, LOG_CODEC_53, true, true },
    { "followed 32 bit", open_offset, LOG_CODEC_32, true, true },
};

static void rig_open_logs(struct rig *rig, const struct kind *kind)
{
    int err = kind->open(rig, false, &rig->writer);
    cr_assert_eq(err, OK, "%s: %s", rig->kind, err_detail(err));
    rig->reader = rig->writer;
    if (kind->followed) err = kind->open(rig, true, &rig->reader);
    cr_assert_eq(err, OK, "%s: %s", rig->kind, err_detail(err));
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
        if (kinds[i].file) {
            rig.folder = scratch_make();
            scratch_path(rig.folder, "log", rig.path);
        }
        rig_open_logs(&rig, &kinds[i]);
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
    const struct kind *kind = kinds;
    while (strcmp(kind->name, rig->kind) != 0)
        kind++;
    rig_close_logs(rig);
    rig_open_logs(rig, kind);
}
