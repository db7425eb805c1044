/* Lets a test in another language ask store/canonical and store/feed. Reads one JSON command a line, answers one JSON line:
 *
 *   {"op":"canonical","hex":TEXT}   -> {"text":HEX,"compact":HEX,"id":"%…","units":N} or {"error":"ERR_…","detail":…}
 *   {"op":"check","hex":TEXT,"hmac":null|"base64","state":null|{"id","sequence"},"received":T}
 *                                   -> {"valid":true,"id":"%…","record":HEX} or {"valid":false,"error","detail"}
 *   {"op":"sign","hex":TEXT,"seed":HEX,"hmac":…} -> {"text":HEX}
 *   {"op":"numbers","bits":HEX}     -> {"texts":[…]}; 16 hexadecimal digits for each double, big end first
 *
 * TEXT is UTF-8 (or what is meant to test that) in hexadecimal. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/canonical_node.h"
#include "store/err.h"
#include "store/feed.h"

#define TEXT_MAX ((size_t)64 << 20)

struct tool {
    const struct canonical *command;
    struct buf in;  /* what "hex" holds */
    struct buf out; /* the answer */
};

static struct slice text_of(const struct tool *tool, const char *key)
{
    return canonical_string(canonical_member(tool->command, key));
}

static int unhex(struct slice hex, struct buf *out)
{
    if (hex.data == NULL) return err_set(ERR_ARG, "hexadecimal text is missing");
    size_t n = 0;
    buf_reset(out);
    if (buf_reserve(out, hex.len / 2 + 1) != OK) return out->err;
    if (sodium_hex2bin((unsigned char *)out->data, out->cap, hex.data, hex.len, NULL, &n, NULL) != 0)
        return err_set(ERR_ARG, "not hexadecimal");
    out->len = n;
    return OK;
}

static void put_hex(struct buf *out, const char *name, const struct buf *bytes)
{
    static const char digits[] = "0123456789abcdef";
    buf_printf(out, "\"%s\":\"", name);
    for (size_t i = 0; i < bytes->len; i++) {
        unsigned char c = (unsigned char)bytes->data[i];
        buf_putc(out, digits[c >> 4]);
        buf_putc(out, digits[c & 15]);
    }
    buf_putc(out, '"');
}

static void put_error(struct buf *out, int err)
{
    const char *detail = err_detail(err);
    buf_printf(out, "\"error\":\"%s\",\"detail\":", err_name(err));
    buf_put_json(out, detail, strlen(detail));
}

static void put_id(struct buf *out, const struct ref *id)
{
    char text[REF_TEXT_MAX];
    buf_puts(out, "\"id\":\"");
    buf_append(out, text, ref_print(id, text));
    buf_putc(out, '"');
}

static int tool_canonical(struct tool *tool)
{
    struct canonical *doc = NULL;
    struct buf text, compact;
    struct ref id;
    buf_init(&text, TEXT_MAX);
    buf_init(&compact, TEXT_MAX);
    int err = unhex(text_of(tool, "hex"), &tool->in);
    if (err == OK) err = canonical_parse(tool->in.data, tool->in.len, &doc);
    if (err == OK) err = canonical_print(doc, &text);
    if (err == OK) err = canonical_print_compact(doc, &compact);
    if (err == OK) err = canonical_id(doc, &id);
    if (err == OK) {
        put_hex(&tool->out, "text", &text);
        buf_putc(&tool->out, ',');
        put_hex(&tool->out, "compact", &compact);
        buf_putc(&tool->out, ',');
        put_id(&tool->out, &id);
        buf_printf(&tool->out, ",\"units\":%zu", canonical_utf16_length(text.data, text.len));
    } else {
        put_error(&tool->out, err);
    }
    canonical_free(doc);
    buf_free(&compact);
    buf_free(&text);
    return OK;
}

/* Absent and null mean no key; anything else must be 32 bytes in canonical base64. */
static int hmac_read(const struct tool *tool, uint8_t space[32], const uint8_t **ret_key)
{
    const struct canonical *node = canonical_member(tool->command, "hmac");
    *ret_key = NULL;
    if (node == NULL || node->kind == CANONICAL_NULL) return OK;
    struct slice text = canonical_string(node);
    size_t len = 0;
    if (text.data == NULL ||
        sodium_base642bin(space, 32, text.data, text.len, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len != 32)
        return err_set(ERR_ARG, "the HMAC key must be 32 bytes in canonical base64");
    *ret_key = space;
    return OK;
}

static int state_read(const struct tool *tool, struct feed_state *state)
{
    const struct canonical *node = canonical_member(tool->command, "state");
    *state = (struct feed_state){ .exists = false };
    if (node == NULL || node->kind != CANONICAL_OBJECT) return OK;
    struct slice id = canonical_string(canonical_member(node, "id"));
    const struct canonical *sequence = canonical_member(node, "sequence");
    state->exists = true;
    state->sequence = sequence == NULL ? 0 : (int64_t)sequence->as.number;
    return ref_parse(id.data, id.len, &state->id);
}

static int tool_check(struct tool *tool)
{
    struct feed_message message = { .sequence = 0 };
    struct feed_state state;
    uint8_t space[32];
    const uint8_t *key;
    const struct canonical *received = canonical_member(tool->command, "received");
    int err = hmac_read(tool, space, &key);
    if (err == OK) err = state_read(tool, &state);
    if (err == OK) err = unhex(text_of(tool, "hex"), &tool->in);
    if (err == OK) err = feed_check(tool->in.data, tool->in.len, key, &message);
    if (err == OK) err = feed_check_next(&state, &message);
    if (err == OK) err = feed_record(&message, received == NULL ? 0 : received->as.number);
    buf_printf(&tool->out, "\"valid\":%s,", err == OK ? "true" : "false");
    if (err == OK) {
        put_id(&tool->out, &message.id);
        buf_putc(&tool->out, ',');
        put_hex(&tool->out, "record", &message.record);
    } else {
        put_error(&tool->out, err);
    }
    feed_message_free(&message);
    return OK;
}

static int tool_sign(struct tool *tool)
{
    uint8_t public_key[32], secret_key[64], space[32];
    const uint8_t *key;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int err = unhex(text_of(tool, "seed"), &tool->in);
    if (err == OK && tool->in.len != 32) err = err_set(ERR_ARG, "a seed has 32 bytes");
    if (err == OK) crypto_sign_seed_keypair(public_key, secret_key, (const unsigned char *)tool->in.data);
    if (err == OK) err = hmac_read(tool, space, &key);
    if (err == OK) err = unhex(text_of(tool, "hex"), &tool->in);
    if (err == OK) err = feed_sign(tool->in.data, tool->in.len, secret_key, key, &text);
    if (err == OK)
        put_hex(&tool->out, "text", &text);
    else
        put_error(&tool->out, err);
    buf_free(&text);
    return OK;
}

static int tool_numbers(struct tool *tool)
{
    int err = unhex(text_of(tool, "bits"), &tool->in);
    if (err != OK) return err;
    buf_puts(&tool->out, "\"texts\":[");
    for (size_t at = 0; at + 8 <= tool->in.len; at += 8) {
        uint64_t bits = 0;
        for (size_t i = 0; i < 8; i++)
            bits = bits << 8 | (unsigned char)tool->in.data[at + i];
        double value;
        memcpy(&value, &bits, sizeof value);
        char text[32];
        buf_puts(&tool->out, at == 0 ? "\"" : ",\"");
        buf_append(&tool->out, text, canonical_number(value, text));
        buf_putc(&tool->out, '"');
    }
    return buf_putc(&tool->out, ']');
}

static int tool_run(struct tool *tool)
{
    static const struct {
        const char *name;
        int (*run)(struct tool *tool);
    } ops[] = {
        { "canonical", tool_canonical }, { "check", tool_check }, { "sign", tool_sign }, { "numbers", tool_numbers }
    };
    struct slice op = text_of(tool, "op");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (op.data != NULL && op.len == strlen(ops[i].name) && memcmp(op.data, ops[i].name, op.len) == 0)
            return ops[i].run(tool);
    return err_set(ERR_ARG, "no such op");
}

static int tool_line(struct tool *tool, const char *line, size_t len)
{
    struct canonical *command = NULL;
    int err = canonical_parse(line, len, &command);
    buf_reset(&tool->out);
    buf_putc(&tool->out, '{');
    tool->command = command;
    if (err == OK) err = tool_run(tool);
    canonical_free(command);
    if (err != OK) put_error(&tool->out, err);
    buf_puts(&tool->out, "}\n");
    if (tool->out.err != OK) return tool->out.err;
    bool written = fwrite(tool->out.data, 1, tool->out.len, stdout) == tool->out.len && fflush(stdout) == 0;
    return written ? OK : ERR_IO;
}

int main(void)
{
    struct tool tool;
    buf_init(&tool.in, TEXT_MAX);
    buf_init(&tool.out, 4 * TEXT_MAX);
    char *line = NULL;
    size_t cap = 0;
    int err = sodium_init() < 0 ? ERR_IO : OK;
    for (ssize_t n; err == OK && (n = getline(&line, &cap, stdin)) > 0;)
        err = tool_line(&tool, line, (size_t)n);
    free(line);
    buf_free(&tool.in);
    buf_free(&tool.out);
    if (err != OK) fprintf(stderr, "canon_tool: %s\n", err_detail(err));
    return err == OK ? 0 : 1;
}
