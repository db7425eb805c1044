#include "server/ws_frame.h"

#include <string.h>

#include "store/err.h"

#define FIN_TEXT 0x81
#define SHORT_MAX 125 /* the length is in the second byte; 126: in two bytes that follow, 127: in eight */
#define MIDDLE_MAX 65535
#define MIDDLE_HEAD 4

/* The room is for the head that nearly all records need; others are moved. */
int ws_frame_begin(struct buf *out, size_t *ret_mark)
{
    static const char room[MIDDLE_HEAD];
    size_t mark = out->len;
    int err = buf_append(out, room, sizeof room);
    if (err == OK) *ret_mark = mark;
    return err;
}

static size_t head_make(size_t len, unsigned char head[10])
{
    head[0] = FIN_TEXT;
    if (len <= SHORT_MAX) {
        head[1] = (unsigned char)len;
        return 2;
    }
    size_t bytes = len <= MIDDLE_MAX ? 2 : 8;
    head[1] = bytes == 2 ? 126 : 127;
    for (size_t i = 0; i < bytes; i++)
        head[2 + i] = (unsigned char)((uint64_t)len >> (8 * (bytes - 1 - i)));
    return 2 + bytes;
}

int ws_frame_end(struct buf *out, size_t mark)
{
    unsigned char head[10];
    size_t len = out->len - mark - MIDDLE_HEAD, head_len = head_make(len, head);
    if (head_len > MIDDLE_HEAD && buf_reserve(out, head_len - MIDDLE_HEAD) != OK) return out->err;
    char *at = out->data + mark;
    if (head_len != MIDDLE_HEAD) memmove(at + head_len, at + MIDDLE_HEAD, len);
    memcpy(at, head, head_len);
    out->len = mark + head_len + len;
    return OK;
}

void ws_frame_drop(struct buf *out, size_t mark)
{
    out->len = mark;
    out->err = OK;
}
