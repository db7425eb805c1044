/* The frame of the offset log: `len u32BE | data | len u32BE | next uBE`, and how to tell a whole one from anything else.
 *
 * width  bytes of `next`: 4, 6 or 8; 0 for the v2 frame, which has none.
 * next   where the frame ends and the following one starts, counted from the start of the file. */
#ifndef STORE_LOG_OFFSET_FRAME_H
#define STORE_LOG_OFFSET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/buf.h"
#include "store/file.h"
#include "store/log.h"

#define FRAME_HEAD 4
#define FRAME_TAIL_MAX 12

enum frame_state {
    FRAME_WHOLE,
    FRAME_PAST_END, /* its length leads behind the end of the file */
    FRAME_LENGTHS,  /* the two lengths differ */
    FRAME_NEXT,     /* `next` is not where it ends */
};

const char *frame_state_text(enum frame_state state);

/* -1 for LOG_CODEC_AUTO. */
int frame_width(enum log_codec codec);
enum log_codec frame_codec(int width);

/* The largest `next` that fits. */
int64_t frame_next_max(int width);

static inline uint64_t frame_be(const uint8_t *bytes, int width)
{
    uint64_t n = 0;
    for (int i = 0; i < width; i++)
        n = n << 8 | bytes[i];
    return n;
}

static inline uint32_t frame_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* What a frame of `len` bytes takes in the file. */
static inline int64_t frame_size(int64_t len, int width)
{
    return len + 8 + width;
}

/* The frame at `at` of a file mapped at `map` whose whole records end at `end`: where it ends, or -1 if it is not whole.
 * An empty v2 frame never counts as whole: it could not be told from zero bytes. Inline for the sake of scans. */
static inline int64_t frame_check(const uint8_t *map, int64_t at, int64_t end, int width, uint32_t *ret_len)
{
    int64_t room = end - at - 8 - width;
    if (room < 0) return -1;
    uint32_t len = frame_be32(map + at);
    if (len > room) return -1;
    const uint8_t *tail = map + at + 4 + len;
    int64_t next = at + frame_size(len, width);
    if (frame_be32(tail) != len) return -1;
    switch (width) {
    case 8:
        if (((uint64_t)frame_be32(tail + 4) << 32 | frame_be32(tail + 8)) != (uint64_t)next) return -1;
        break;
    case 0:
        if (len == 0) return -1;
        break;
    default:
        if (frame_be(tail + 4, width) != (uint64_t)next) return -1;
        break;
    }
    *ret_len = len;
    return next;
}

/* Appends the frame of `value`, which starts at `at`, to `out`. */
int frame_put(struct buf *out, struct slice value, int64_t at, int width);

/* Looks at the frame at `at`, which must end at or before the window's size. ret_len only for FRAME_WHOLE. */
int frame_read(struct file_window *window, int64_t at, int width, enum frame_state *ret_state, uint32_t *ret_len);

/* 1 if a whole frame ends at `end`, and then where it starts; 0 if none does; <0 error. */
int frame_read_back(struct file_window *window, int64_t end, int width, int64_t *ret_start);

/* Where the first whole frame behind `bad` starts (a v2 one must also be followed by another or end the file); the window's
 * size if there is none. Reads every byte from `bad` on, until it has found one. */
int frame_find(struct file_window *window, int64_t bad, int width, int64_t *ret_start);

/* Which codec the file has, from its first frame; `wanted` (not AUTO) leaves no choice. LOG_CODEC_AUTO is answered for an empty
 * file and for one that holds a part of its first record only. ERR_FORMAT if the first frame is none, ERR_CORRUPT if it is damaged. */
int frame_sniff(struct file_window *window, enum log_codec wanted, enum log_codec *ret_codec, bool *ret_torn);

#endif
