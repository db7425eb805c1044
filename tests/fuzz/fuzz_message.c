/* Any bytes: the scan survives, and agrees with jansson on all that jansson accepts. Run with tests/fuzz/corpus/message. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/json.h"
#include "tests/support/message_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pull reader on the same bytes: it ends, in a value or in ERR_JSON, and finds only what lies inside. */
static void fuzz_json(struct slice value, int depth)
{
    struct json_iter iter;
    struct json_member member;
    struct buf text;
    if (depth > 8 || json_open(value, &iter) != OK) return;
    buf_init(&text, 1 << 20);
    while (json_next(&iter, &member) == 1) {
        const char *end = value.data + value.len;
        if (member.value.data < value.data || member.value.data + member.value.len > end) abort();
        buf_reset(&text);
        (void)json_unescape(member.key, &text);
        (void)json_unescape(member.value, &text);
        (void)json_key_is(&member, "type");
        (void)json_truthy(member.value);
        fuzz_json(member.value, depth + 1);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct message message;
    static bool ready;
    if (!ready) message_init(&message);
    ready = true;
    /* a copy of its own, so that the sanitizer sees every byte read past the end */
    char *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    const char *what = "";
    if (message_oracle(&message, copy, size, &what) == ORACLE_DIFFERS) {
        fprintf(stderr, "differs from jansson: %s\n", what);
        abort();
    }
    fuzz_json((struct slice){ copy, size }, 0);
    free(copy);
    return 0;
}
