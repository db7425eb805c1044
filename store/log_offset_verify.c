#include <fcntl.h>
#include <stdlib.h>

#include "store/err.h"
#include "store/log_offset_frame.h"
#include "store/zero.h"

#define HOLE_MIN ((uint32_t)1 << 20)

struct verify {
    struct file_window window;
    int fd;
    int width;
    int64_t records;
    int64_t deleted;
    int64_t damaged; /* ranges */
    log_damage_fn *fn;
    void *ctx;
};

static int count_record(struct verify *verify, int64_t at, uint32_t len)
{
    int64_t data = at + FRAME_HEAD;
    verify->records++;
    if (len < HOLE_MIN || !file_is_hole(verify->fd, data, len)) {
        for (uint32_t done = 0; done < len;) {
            size_t n = len - done < 4096 ? len - done : 4096;
            if (done == 0 && n > 64) n = 64; /* nearly always enough to tell */
            const uint8_t *bytes;
            int got = file_window_get(&verify->window, data + done, n, &bytes);
            if (got <= 0)
                return got < 0 ? got : err_set(ERR_CHANGED, "%s: shrinks while it is read", verify->window.path);
            if (!bytes_zero(bytes, n)) return OK;
            done += (uint32_t)n;
        }
    }
    verify->deleted++;
    return OK;
}

static void report(struct verify *verify, int64_t at, int64_t end, const char *what)
{
    struct log_damage damage = { at, end - at, what, end == verify->window.size };
    verify->damaged++;
    if (verify->fn != NULL) verify->fn(verify->ctx, &damage);
}

static int verify_frames(struct verify *verify)
{
    int64_t size = verify->window.size;
    for (int64_t at = 0; at < size;) {
        enum frame_state state;
        uint32_t len = 0;
        int err = frame_read(&verify->window, at, verify->width, &state, &len);
        if (err == OK && state == FRAME_WHOLE) {
            err = count_record(verify, at, len);
            at += frame_size(len, verify->width);
        } else if (err == OK) {
            int64_t start = size;
            err = frame_find(&verify->window, at, verify->width, &start);
            if (err == OK) report(verify, at, start, frame_state_text(state));
            at = start;
        }
        if (err != OK) return err;
    }
    return OK;
}

/* The first record is damaged: take the codec in which a whole record comes first. */
static int guess_codec(struct verify *verify, enum log_codec *ret_codec)
{
    static const int widths[] = { 8, 6, 4, 0 };
    int64_t best = verify->window.size;
    *ret_codec = LOG_CODEC_AUTO;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int64_t start;
        int err = frame_find(&verify->window, 0, widths[i], &start);
        if (err != OK) return err;
        if (start >= best) continue;
        best = start;
        *ret_codec = frame_codec(widths[i]);
    }
    if (*ret_codec != LOG_CODEC_AUTO) return OK;
    return err_set(ERR_FORMAT, "%s: holds no record of flumelog-offset", verify->window.path);
}

static int verify_codec(struct verify *verify, enum log_codec wanted, enum log_codec *ret_codec)
{
    bool torn;
    int err = frame_sniff(&verify->window, wanted, ret_codec, &torn);
    bool first_bad = err == ERR_FORMAT || err == ERR_CORRUPT;
    if (first_bad && wanted != LOG_CODEC_AUTO) {
        *ret_codec = wanted;
        err = OK;
    } else if (first_bad) {
        err = guess_codec(verify, ret_codec);
    }
    if (err != OK) return err;
    verify->width = frame_width(*ret_codec == LOG_CODEC_AUTO ? LOG_CODEC_53 : *ret_codec);
    return OK;
}

int log_offset_verify(const struct log_offset_options *options, log_damage_fn *fn, void *ctx, enum log_codec *ret_codec,
                      int64_t *ret_records, int64_t *ret_deleted)
{
    struct verify *verify = calloc(1, sizeof *verify);
    if (verify == NULL) return err_set(ERR_NOMEM, "%s: no memory to read it", options->path);
    verify->fd = -1;
    verify->fn = fn;
    verify->ctx = ctx;
    struct file_info info;
    enum log_codec codec = options->codec;
    int err = file_open(options->path, O_RDONLY, &verify->fd);
    if (err == OK) err = file_stat(verify->fd, options->path, &info);
    if (err == OK && !info.regular) err = err_set(ERR_FORMAT, "%s: not a regular file", options->path);
    if (err != OK) goto out;
    file_window_init(&verify->window, verify->fd, options->path, info.size, false);
    err = verify_codec(verify, options->codec, &codec);
    if (err == OK) err = verify_frames(verify);
    if (err != OK) goto out;
    if (ret_codec != NULL) *ret_codec = codec;
    if (ret_records != NULL) *ret_records = verify->records;
    if (ret_deleted != NULL) *ret_deleted = verify->deleted;
    if (verify->damaged > 0)
        err = err_set(ERR_CORRUPT, "%s: %lld damaged ranges", options->path, (long long)verify->damaged);
out:
    file_close(verify->fd);
    free(verify);
    return err;
}
