#include "store/log_offset_frame.h"

#include "store/err.h"

const char *frame_state_text(enum frame_state state)
{
    switch (state) {
    case FRAME_WHOLE: return "a whole record";
    case FRAME_PAST_END: return "the record's length leads behind the end of the file";
    case FRAME_LENGTHS: return "the two lengths of the record differ";
    case FRAME_NEXT: return "the record's end offset is not where it ends";
    }
    return "unknown";
}

int frame_width(enum log_codec codec)
{
    switch (codec) {
    case LOG_CODEC_V2: return 0;
    case LOG_CODEC_32: return 4;
    case LOG_CODEC_48: return 6;
    case LOG_CODEC_53: return 8;
    case LOG_CODEC_AUTO: break;
    }
    return -1;
}

enum log_codec frame_codec(int width)
{
    switch (width) {
    case 0: return LOG_CODEC_V2;
    case 4: return LOG_CODEC_32;
    case 6: return LOG_CODEC_48;
    case 8: return LOG_CODEC_53;
    default: return LOG_CODEC_AUTO;
    }
}

int64_t frame_next_max(int width)
{
    return width == 8 ? SEQ_MAX : (INT64_C(1) << (8 * width)) - 1;
}

static void put_be(uint8_t *out, uint64_t n, int width)
{
    for (int i = width; i-- > 0; n >>= 8)
        out[i] = (uint8_t)n;
}

/* `len | next` as they stand behind the data; answers their size. */
static size_t put_tail(uint8_t out[FRAME_TAIL_MAX], int64_t len, int64_t at, int width)
{
    put_be(out, (uint64_t)len, 4);
    put_be(out + 4, (uint64_t)(at + frame_size(len, width)), width);
    return 4 + (size_t)width;
}

int frame_put(struct buf *out, struct slice value, int64_t at, int width)
{
    uint8_t tail[FRAME_TAIL_MAX];
    size_t tail_len = put_tail(tail, (int64_t)value.len, at, width);
    (void)buf_append(out, tail, FRAME_HEAD);
    (void)buf_append(out, value.data, value.len);
    return buf_append(out, tail, tail_len);
}

int frame_read(struct file_window *window, int64_t at, int width, enum frame_state *ret_state, uint32_t *ret_len)
{
    const uint8_t *bytes;
    *ret_state = FRAME_PAST_END;
    int got = file_window_get(window, at, FRAME_HEAD, &bytes);
    if (got <= 0) return got;
    uint32_t len = frame_be32(bytes);
    got = file_window_get(window, at + 4 + len, 4 + (size_t)width, &bytes);
    if (got <= 0) return got;
    if (frame_be32(bytes) != len || (width == 0 && len == 0))
        *ret_state = FRAME_LENGTHS;
    else if (width != 0 && frame_be(bytes + 4, width) != (uint64_t)(at + frame_size(len, width)))
        *ret_state = FRAME_NEXT;
    else {
        *ret_state = FRAME_WHOLE;
        *ret_len = len;
    }
    return OK;
}

int frame_read_back(struct file_window *window, int64_t end, int width, int64_t *ret_start)
{
    const uint8_t *bytes;
    int got = file_window_get(window, end - 4 - width, 4 + (size_t)width, &bytes);
    if (got <= 0) return got;
    if (width != 0 && frame_be(bytes + 4, width) != (uint64_t)end) return 0;
    uint32_t len = frame_be32(bytes);
    int64_t start = end - frame_size(len, width);
    if (start < 0 || (width == 0 && len == 0)) return 0;
    got = file_window_get(window, start, FRAME_HEAD, &bytes);
    if (got <= 0 || frame_be32(bytes) != len) return got < 0 ? got : 0;
    *ret_start = start;
    return 1;
}

/* v3: the first place behind `bad` where a whole frame ends tells where it starts; one pass, without leaps. */
static int find_v3(struct file_window *window, int64_t bad, int width, int64_t *ret_start)
{
    int64_t size = window->size;
    for (int64_t end = bad + 1 + frame_size(0, width); end <= size; end++) {
        const uint8_t *next;
        int got = file_window_get(window, end - width, (size_t)width, &next);
        if (got < 0) return got;
        if (got == 0) break;
        if (frame_be(next, width) != (uint64_t)end) continue;
        int64_t start;
        got = frame_read_back(window, end, width, &start);
        if (got < 0) return got;
        /* zeros that were written over the data of a record read as an empty frame in front of its `next` */
        if (got == 0 || start <= bad || start == end - frame_size(0, width)) continue;
        *ret_start = start;
        return OK;
    }
    *ret_start = size;
    return OK;
}

/* v2: the first place behind `bad` where a whole frame starts that ends the file or is followed by another. */
static int find_v2(struct file_window *window, int64_t bad, int64_t *ret_start)
{
    int64_t size = window->size;
    for (int64_t at = bad + 1; at <= size - 9; at++) {
        const uint8_t *head;
        int got = file_window_get(window, at, FRAME_HEAD, &head);
        if (got < 0) return got;
        if (got == 0) break;
        uint32_t len = frame_be32(head);
        if (len == 0 || len > size - at - 8) continue;
        enum frame_state state;
        int err = frame_read(window, at, 0, &state, &len);
        int64_t next = at + frame_size(len, 0);
        if (err == OK && state == FRAME_WHOLE && next < size) err = frame_read(window, next, 0, &state, &len);
        if (err != OK) return err;
        if (state != FRAME_WHOLE) continue;
        *ret_start = at;
        return OK;
    }
    *ret_start = size;
    return OK;
}

int frame_find(struct file_window *window, int64_t bad, int width, int64_t *ret_start)
{
    return width == 0 ? find_v2(window, bad, ret_start) : find_v3(window, bad, width, ret_start);
}

enum first { FIRST_WRONG, FIRST_TORN, FIRST_WHOLE };

/* Compares what there is of the first frame with what its leading length makes it: as far as the file goes. */
static int first_frame(struct file_window *window, int width, enum first *ret_first)
{
    uint8_t head[FRAME_HEAD] = { 0 };
    const uint8_t *bytes;
    int64_t size = window->size;
    size_t n = size < FRAME_HEAD ? (size_t)size : FRAME_HEAD;
    int got = n == 0 ? 1 : file_window_get(window, 0, n, &bytes);
    if (got <= 0) return got < 0 ? got : err_set(ERR_CHANGED, "%s: shrinks while it is read", window->path);
    for (size_t i = 0; i < n; i++)
        head[i] = bytes[i];
    uint32_t len = frame_be32(head);
    uint8_t tail[FRAME_TAIL_MAX];
    int64_t tail_len = (int64_t)put_tail(tail, len, 0, width);
    int64_t tail_have = size - 4 - (int64_t)len;
    if (tail_have > tail_len) tail_have = tail_len;
    *ret_first = tail_have < tail_len ? FIRST_TORN : FIRST_WHOLE;
    if (width == 0 && len == 0 && size > 0) *ret_first = FIRST_WRONG;
    /* No writer of records makes one that large: text, for one, starts with a huge "length". */
    if (*ret_first == FIRST_TORN && len > LOG_RECORD_MAX) *ret_first = FIRST_WRONG;
    if (tail_have <= 0 || *ret_first == FIRST_WRONG) return OK;
    got = file_window_get(window, 4 + (int64_t)len, (size_t)tail_have, &bytes);
    if (got <= 0) return got < 0 ? got : err_set(ERR_CHANGED, "%s: shrinks while it is read", window->path);
    for (int64_t i = 0; i < tail_have; i++)
        if (bytes[i] != tail[i]) *ret_first = FIRST_WRONG;
    return OK;
}

/* A first frame that is whole without `next` may also be a v3 frame cut off just there; a second one decides. */
static int second_frame_v2(struct file_window *window, bool *ret_whole)
{
    enum frame_state state = FRAME_PAST_END;
    uint32_t len = 0;
    int err = frame_read(window, 0, 0, &state, &len);
    if (err == OK && state == FRAME_WHOLE) err = frame_read(window, frame_size(len, 0), 0, &state, &len);
    *ret_whole = state == FRAME_WHOLE;
    return err;
}

static int sniff_any(struct file_window *window, enum log_codec *ret_codec, bool *ret_torn)
{
    static const int widths[] = { 8, 6, 4 };
    bool torn = false;
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        enum first first = FIRST_WRONG;
        int err = first_frame(window, widths[i], &first);
        if (err != OK) return err;
        if (first == FIRST_WHOLE) {
            *ret_codec = frame_codec(widths[i]);
            return OK;
        }
        torn = torn || first == FIRST_TORN;
    }
    bool v2 = false;
    int err = torn ? OK : second_frame_v2(window, &v2);
    if (err != OK) return err;
    if (!torn && !v2)
        return err_set(ERR_FORMAT, "%s: its first bytes are no record of flumelog-offset; see `sluice verify`",
                       window->path);
    *ret_codec = v2 ? LOG_CODEC_V2 : LOG_CODEC_AUTO;
    *ret_torn = torn && window->size > 0;
    return OK;
}

/* What looks like a part of the first record must not have whole records behind it: then its length is damaged, and taking the
 * file for a torn one would throw them away. */
static int torn_check(struct file_window *window)
{
    static const int widths[] = { 8, 6, 4, 0 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        int64_t start;
        int err = frame_find(window, 0, widths[i], &start);
        if (err == OK && start < window->size)
            err = err_set(ERR_CORRUPT, "%s: its first record is damaged; see `sluice verify`", window->path);
        if (err != OK) return err;
    }
    return OK;
}

static int sniff_told(struct file_window *window, enum log_codec wanted, enum log_codec *ret_codec, bool *ret_torn)
{
    int width = frame_width(wanted);
    if (width < 0) return err_set(ERR_ARG, "%d is no codec of the offset log: use 32, 48 or 53", (int)wanted);
    enum first first = FIRST_WRONG;
    int err = first_frame(window, width, &first);
    if (err != OK) return err;
    if (first == FIRST_WRONG)
        return err_set(ERR_FORMAT, "%s: its first record is not in the %s format", window->path,
                       width == 0               ? "v2"
                       : wanted == LOG_CODEC_32 ? "32 bit"
                       : wanted == LOG_CODEC_48 ? "48 bit"
                                                : "53 bit");
    *ret_codec = wanted;
    *ret_torn = first == FIRST_TORN && window->size > 0;
    return OK;
}

int frame_sniff(struct file_window *window, enum log_codec wanted, enum log_codec *ret_codec, bool *ret_torn)
{
    enum log_codec codec = LOG_CODEC_AUTO;
    bool torn = false;
    int err = wanted == LOG_CODEC_AUTO ? sniff_any(window, &codec, &torn) : sniff_told(window, wanted, &codec, &torn);
    if (err == OK && torn) err = torn_check(window);
    if (err != OK) return err;
    *ret_codec = codec;
    *ret_torn = torn;
    return OK;
}
