#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "server/ids.h"
#include "store/err.h"

#define BODY "+/+/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw="
#define SAFE "-_-_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw="
#define MESSAGE "\"%" BODY ".sha256\""
#define MESSAGE_URI "\"ssb:message/classic/" SAFE "\""
#define FEED "\"@" BODY ".ed25519\""
#define FEED_URI "\"ssb:feed/classic/" SAFE "\""

static void becomes(const char *json, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    (void)buf_puts(&out, "front" MESSAGE);
    size_t start = out.len;
    (void)buf_puts(&out, json);
    cr_assert_eq(ids_to_uris(&out, start), OK);
    cr_expect(out.len == start + strlen(wanted) && memcmp(out.data + start, wanted, strlen(wanted)) == 0, "%s: %.*s",
              json, (int)out.len, out.data);
    cr_expect_eq(memcmp(out.data, "front" MESSAGE, start), 0);
    buf_free(&out);
}

Test(ids, every_kind_anywhere_in_the_envelope)
{
    becomes("{\"key\":" MESSAGE ",\"ids\":[" FEED ", \"&" BODY ".sha256\",\"%" BODY ".cloaked\"]}",
            "{\"key\":" MESSAGE_URI ",\"ids\":[" FEED_URI ", \"ssb:blob/classic/" SAFE "\",\"ssb:message/cloaked/" SAFE
            "\"]}");
    becomes(MESSAGE, MESSAGE_URI);
}

Test(ids, names_of_members_too)
{
    becomes("{\"votes\":{" MESSAGE ":3}}", "{\"votes\":{" MESSAGE_URI ":3}}");
}

Test(ids, not_what_people_wrote)
{
    becomes("{\"value\":{\"author\":" FEED ",\"content\":{\"x\":[" MESSAGE "]}},\"key\":" MESSAGE "}",
            "{\"value\":{\"author\":" FEED ",\"content\":{\"x\":[" MESSAGE "]}},\"key\":" MESSAGE_URI "}");
    becomes("{ \"value\" : " FEED " , \"id\" : " FEED "}", "{ \"value\" : " FEED " , \"id\" : " FEED_URI "}");
    becomes("{\"about\":{\"image\":" MESSAGE "},\"id\":" FEED "}",
            "{\"about\":{\"image\":" MESSAGE "},\"id\":" FEED_URI "}");
    becomes("{\"value\":\"}\\\"\",\"id\":" FEED "}", "{\"value\":\"}\\\"\",\"id\":" FEED_URI "}");
    becomes("[\"value\"," FEED "]", "[\"value\"," FEED_URI "]");
}

Test(ids, nothing_that_only_holds_an_id)
{
    static const char *const same[] = { "{\"next\":\"/x?gt=%" BODY ".sha256\"}",
                                        "\"%" BODY ".sha256 \"",
                                        "\"@" BODY ".sha256\"",
                                        "\"a \\\"" BODY "\\\" b\"",
                                        "{}",
                                        "12",
                                        "\"\"" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        becomes(same[i], same[i]);
}

Test(ids, however_it_is_escaped)
{
    becomes("{\"key\":\"%+\\/+\\/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw\\u003d.sha256\"}",
            "{\"key\":" MESSAGE_URI "}");
}

Test(ids, nothing_at_all)
{
    becomes("", "");
}
