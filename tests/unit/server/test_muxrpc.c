#include <criterion/criterion.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "server/muxrpc.h"
#include "store/err.h"

#define FIXTURE "tests/fixtures/ssb/made-shs-boxstream-muxrpc.json"
#define KEY "%AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.sha256"

static struct slice slice_of(const char *text)
{
    return (struct slice){ text, strlen(text) };
}

/* What JavaScript's codec wrote is read and written again to the byte, however it is cut. */
Test(muxrpc, frames_of_packet_stream_codec)
{
    json_error_t error;
    json_t *made = json_load_file(FIXTURE, 0, &error), *frames = json_object_get(made, "frames"), *item;
    size_t i;
    cr_assert_eq(json_array_size(frames), 8);
    json_array_foreach(frames, i, item)
    {
        const char *hex = json_string_value(json_object_get(item, "hex"));
        json_t *packet = json_object_get(item, "packet");
        uint8_t bytes[256];
        size_t len = 0, used = 0;
        struct muxrpc_frame frame;
        struct buf out;
        cr_assert_eq(sodium_hex2bin(bytes, sizeof bytes, hex, strlen(hex), NULL, &len, NULL), 0);
        for (size_t part = 0; part < len; part++)
            cr_expect_eq(muxrpc_read((struct slice){ (const char *)bytes, part }, &frame, &used), 0);
        cr_assert_eq(muxrpc_read((struct slice){ (const char *)bytes, sizeof bytes }, &frame, &used), 1);
        cr_expect_eq(used, len);
        buf_init(&out, 1024);
        cr_expect_eq(frame.goodbye ? muxrpc_put_goodbye(&out) : muxrpc_put(&frame, &out), OK);
        cr_assert_eq(out.len, len);
        cr_expect_arr_eq(out.data, bytes, len);
        buf_free(&out);
        cr_expect_eq(frame.goodbye, json_is_string(packet));
        if (frame.goodbye) continue;
        cr_expect_eq(frame.number, json_integer_value(json_object_get(packet, "req")));
        cr_expect_eq(frame.stream, json_is_true(json_object_get(packet, "stream")));
        cr_expect_eq(frame.end, json_is_true(json_object_get(packet, "end")));
    }
    json_decref(made);
}

Test(muxrpc, a_frame_that_no_node_sends_is_refused_by_its_head)
{
    struct muxrpc_frame frame;
    size_t used;
    uint8_t head[MUXRPC_HEAD] = { 2, 0, 4, 0, 1 };
    cr_expect_eq(MUXRPC_BODY_MAX, 0x40000, "as in the head above, less one");
    cr_expect_eq(muxrpc_read((struct slice){ (const char *)head, sizeof head }, &frame, &used), ERR_LIMIT);
    head[4] = 0;
    cr_expect_eq(muxrpc_read((struct slice){ (const char *)head, sizeof head }, &frame, &used), 0);
    head[0] = 3;
    cr_expect_eq(muxrpc_read((struct slice){ (const char *)head, sizeof head }, &frame, &used), ERR_FORMAT);
}

Test(muxrpc, a_body_of_no_bytes_would_say_goodbye)
{
    struct buf out;
    buf_init(&out, 64);
    const struct muxrpc_frame frame = { .kind = MUXRPC_TEXT, .number = 1, .body = { "", 0 } };
    cr_expect_eq(muxrpc_put(&frame, &out), ERR_ARG);
    cr_expect_eq(out.len, 0);
    buf_free(&out);
}

Test(muxrpc, a_call_that_is_too_large_is_not_made)
{
    struct buf out;
    char *content = malloc(MUXRPC_BODY_MAX);
    memset(content, 'x', MUXRPC_BODY_MAX);
    buf_init(&out, 2 * MUXRPC_BODY_MAX);
    cr_expect_eq(muxrpc_put_publish(1, (struct slice){ content, MUXRPC_BODY_MAX - 30 }, &out), OK);
    cr_expect_eq(out.len, MUXRPC_HEAD + MUXRPC_BODY_MAX);
    cr_expect_eq(muxrpc_put_publish(1, (struct slice){ content, MUXRPC_BODY_MAX - 29 }, &out), ERR_LIMIT);
    buf_free(&out);
    free(content);
}

Test(muxrpc, what_an_answer_says)
{
    static const struct {
        enum muxrpc_kind kind;
        bool end, stream;
        const char *body;
        int err;
        const char *words; /* of a refusal */
    } cases[] = {
        { MUXRPC_JSON, false, false, "{\"key\":\"" KEY "\",\"value\":{},\"timestamp\":1}", OK, NULL },
        { MUXRPC_JSON, false, false, "{\"value\":{\"key\":1},\"key\":\"" KEY "\"}", OK, NULL },
        { MUXRPC_JSON, false, false, "\"" KEY "\"", OK, NULL },
        { MUXRPC_TEXT, false, false, KEY, OK, NULL },
        { MUXRPC_JSON, true, false, "{\"name\":\"Error\",\"message\":\"no \\\"way\\\"\",\"stack\":\"\"}", ERR_INVALID,
          "no \"way\"" },
        { MUXRPC_JSON, true, false, "{\"message\":7}", ERR_INVALID, "{\"message\":7}" },
        { MUXRPC_JSON, true, false, "true", ERR_INVALID, "true" },
        { MUXRPC_TEXT, true, false, "not today", ERR_INVALID, "not today" },
        { MUXRPC_JSON, true, false, "{\"message\":\"\"}", ERR_INVALID, "it gave no reason" },
        { MUXRPC_JSON, false, true, "{\"key\":\"" KEY "\"}", ERR_FORMAT, NULL },
        { MUXRPC_JSON, false, false, "{\"key\":\"" KEY "\"", ERR_FORMAT, NULL },
        { MUXRPC_JSON, false, false, "{\"key\":{\"" KEY "\":1}}", ERR_FORMAT, NULL },
        { MUXRPC_JSON, false, false, "{}", ERR_FORMAT, NULL },
        { MUXRPC_JSON, false, false, "true", ERR_FORMAT, NULL },
        { MUXRPC_TEXT, false, false, "@AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519", ERR_FORMAT, NULL },
        { MUXRPC_BYTES, false, false, "\"", ERR_FORMAT, NULL },
        { MUXRPC_TEXT, false, false, "\"\"", ERR_FORMAT, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ref id = { .kind = 'x' };
        const struct muxrpc_frame frame = {
            .kind = cases[i].kind, .end = cases[i].end, .stream = cases[i].stream, .body = slice_of(cases[i].body)
        };
        int err = muxrpc_published(&frame, &id);
        cr_expect_eq(err, cases[i].err, "%s", cases[i].body);
        cr_expect_eq(id.kind, err == OK ? REF_MESSAGE : 'x', "%s", cases[i].body);
        if (cases[i].words != NULL) cr_expect_str_eq(err_detail(err), cases[i].words);
    }
}

Test(muxrpc, words_are_cut_at_the_end_of_a_character)
{
    char body[2048] = "";
    struct ref id;
    for (int i = 0; i < 500; i++)
        strcat(body, "\u20AC");
    const struct muxrpc_frame frame = { .kind = MUXRPC_TEXT, .end = true, .body = slice_of(body) };
    cr_expect_eq(muxrpc_published(&frame, &id), ERR_INVALID);
    const char *words = err_detail(ERR_INVALID);
    cr_expect_eq(strlen(words) % 3, 0);
    cr_expect(strlen(words) <= 300 && strlen(words) > 290);
}
