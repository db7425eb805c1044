#include "server/muxrpc.h"

#include <string.h>

#include "server/text.h"
#include "store/err.h"
#include "store/json.h"

#define FLAG_STREAM 8U
#define FLAG_END 4U
#define KIND_BITS 3U

#define WORDS_MAX 300 /* of what a node says when it refuses */

/* ---- frames ----------------------------------------------------------------------------------------------------- */

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_u32(uint32_t n, uint8_t *at)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(n >> (24 - 8 * i));
}

int muxrpc_read(struct slice data, struct muxrpc_frame *ret_frame, size_t *ret_used)
{
    uint8_t head[MUXRPC_HEAD];
    if (data.len < sizeof head) return 0;
    memcpy(head, data.data, sizeof head);
    uint32_t len = read_u32(head + 1);
    if (len > MUXRPC_BODY_MAX)
        return err_set(ERR_LIMIT, "a frame of %u bytes; the most is %zu", (unsigned)len, MUXRPC_BODY_MAX);
    if (len > 0 && (head[0] & KIND_BITS) > MUXRPC_JSON)
        return err_set(ERR_FORMAT, "a frame of no known kind (flags %02x)", (unsigned)head[0]);
    if (data.len - sizeof head < len) return 0;
    *ret_frame = (struct muxrpc_frame){
        .stream = (head[0] & FLAG_STREAM) != 0,
        .end = (head[0] & FLAG_END) != 0,
        .goodbye = len == 0,
        .kind = len == 0 ? MUXRPC_BYTES : (enum muxrpc_kind)(head[0] & KIND_BITS),
        .number = (int32_t)read_u32(head + 5),
        .body = { data.data + sizeof head, len },
    };
    *ret_used = sizeof head + len;
    return 1;
}

static int put_head(unsigned flags, uint32_t len, int32_t number, struct buf *out)
{
    uint8_t head[MUXRPC_HEAD] = { (uint8_t)flags };
    put_u32(len, head + 1);
    put_u32((uint32_t)number, head + 5);
    return buf_append(out, head, sizeof head);
}

int muxrpc_put(const struct muxrpc_frame *frame, struct buf *out)
{
    if (frame->body.len == 0 || frame->body.len > INT32_MAX)
        return err_set(ERR_ARG, "a frame cannot have a body of %zu bytes", frame->body.len);
    unsigned flags =
        (frame->stream ? FLAG_STREAM : 0) | (frame->end ? FLAG_END : 0) | ((unsigned)frame->kind & KIND_BITS);
    (void)put_head(flags, (uint32_t)frame->body.len, frame->number, out);
    return buf_append(out, frame->body.data, frame->body.len);
}

int muxrpc_put_goodbye(struct buf *out)
{
    return put_head(0, 0, 0, out);
}

/* ---- publish ---------------------------------------------------------------------------------------------------- */

int muxrpc_put_publish(int32_t number, struct slice content, struct buf *out)
{
    static const char before[] = "{\"name\":[\"publish\"],\"args\":[", after[] = "]}";
    size_t len = sizeof before - 1 + content.len + sizeof after - 1;
    if (len > MUXRPC_BODY_MAX) return err_set(ERR_LIMIT, "a call of %zu bytes; the most is %zu", len, MUXRPC_BODY_MAX);
    (void)put_head(MUXRPC_JSON, (uint32_t)len, number, out);
    (void)buf_append(out, before, sizeof before - 1);
    (void)buf_append(out, content.data, content.len);
    return buf_append(out, after, sizeof after - 1);
}

/* The node's words, cut to what a detail has room for at the end of a character. */
static int refused(struct slice words)
{
    size_t len = words.len;
    if (len > WORDS_MAX)
        for (len = WORDS_MAX; len > 0 && ((uint8_t)words.data[len] & 0xC0) == 0x80;)
            len--;
    return len > 0 ? err_set(ERR_INVALID, "%.*s", (int)len, words.data) : err_set(ERR_INVALID, "it gave no reason");
}

static int refused_json(struct slice body)
{
    struct slice message;
    if (json_find(body, "message", &message) != 1 || !json_is_string(message)) return refused(body);
    struct buf words;
    buf_init(&words, MUXRPC_BODY_MAX);
    int err = json_unescape(message, &words);
    err = err == OK ? refused((struct slice){ words.data, words.len }) : refused(body);
    buf_free(&words);
    return err;
}

/* ssb-db answers with the whole record, go-ssb with the key. */
static bool key_read(const struct muxrpc_frame *answer, struct ref *ret_id)
{
    struct slice key = answer->body;
    if (answer->kind == MUXRPC_JSON && key.len > 0 && key.data[0] == '{' &&
        (json_find(answer->body, "key", &key) != 1 || !json_is_string(key)))
        return false;
    if (key.len >= 2 && key.data[0] == '"') key = (struct slice){ key.data + 1, key.len - 2 };
    return ref_try(key.data, key.len, ret_id) && ret_id->kind == REF_MESSAGE;
}

int muxrpc_published(const struct muxrpc_frame *answer, struct ref *ret_id)
{
    struct ref id;
    bool json = answer->kind == MUXRPC_JSON;
    if (answer->goodbye || answer->stream || (json && !json_valid(answer->body)))
        return err_set(ERR_FORMAT, "the answer is none that publish can have");
    if (answer->end) return json ? refused_json(answer->body) : refused(answer->body);
    if (!key_read(answer, &id)) return err_set(ERR_FORMAT, "the answer names no message");
    *ret_id = id;
    return OK;
}
