#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/err.h"
#include "store/ref.h"

/* The same 32 bytes (0xfb, then 0xff, … so that both "+" and "/" occur) in each spelling. */
#define BODY "+/+/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw="
#define SAFE "-_-_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw"

static bool any(const char *text, uint8_t kind)
{
    static const uint8_t id[32] = { 0xfb, 0xff, 0xbf, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                    13,   14,   15,   16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28 };
    struct ref ref = { .kind = REF_NONE };
    return ref_parse_any(text, strlen(text), &ref) == OK && ref.kind == kind && memcmp(ref.id, id, 32) == 0;
}

static bool strict(const char *text, uint8_t kind)
{
    struct ref ref = { .kind = REF_NONE };
    return ref_parse(text, strlen(text), &ref) == OK && ref.kind == kind;
}

static bool refused(const char *text)
{
    struct ref ref = { .kind = 7 };
    return ref_parse(text, strlen(text), &ref) == ERR_REF && ref.kind == 7;
}

static bool refused_any(const char *text)
{
    struct ref ref = { .kind = 7 };
    return ref_parse_any(text, strlen(text), &ref) == ERR_REF && ref.kind == 7;
}

Test(ref, text_form_of_each_kind)
{
    cr_expect(strict("%" BODY ".sha256", REF_MESSAGE));
    cr_expect(strict("%" BODY ".cloaked", REF_CLOAKED));
    cr_expect(strict("@" BODY ".ed25519", REF_FEED));
    cr_expect(strict("@" BODY ".sha256", REF_FEED_SHA256));
    cr_expect(strict("&" BODY ".sha256", REF_BLOB));
}

Test(ref, suffix_must_fit_the_sigil)
{
    cr_expect(refused("%" BODY ".ed25519"));
    cr_expect(refused("&" BODY ".ed25519"));
    cr_expect(refused("&" BODY ".cloaked"));
    cr_expect(refused("@" BODY ".cloaked"));
    cr_expect(refused("@" BODY "Xed25519"));
    cr_expect(refused("%" BODY "Xsha256"));
    cr_expect(refused("#" BODY ".sha256"));
}

Test(ref, nothing_may_stand_around_it)
{
    cr_expect(refused("%" BODY ".sha256 "));
    cr_expect(refused(" %" BODY ".sha256"));
    cr_expect(refused("%" BODY ".sha2567"));
    cr_expect(refused("%" BODY ".sha25"));
    cr_expect(refused(BODY ".sha256"));
    cr_expect(refused(""));
    cr_expect(refused("&" BODY ".sha256?unbox=x"));
}

Test(ref, only_canonical_base64)
{
    static const char good[] = "AEIMQUYcgkosw048",
                      all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (const char *c = all; *c != '\0'; c++) {
        char text[] = "%" BODY ".sha256";
        text[43] = *c;
        struct ref ref;
        cr_expect_eq(ref_parse(text, strlen(text), &ref) == OK, strchr(good, *c) != NULL, "%s", text);
    }
}

Test(ref, every_byte_at_every_place_of_the_base64)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 1; at < 43; at++)
        for (int c = 0; c < 256; c++) {
            char text[] = "%" BODY ".sha256", again[REF_TEXT_MAX];
            text[at] = (char)c;
            struct ref ref;
            bool good = ref_parse(text, strlen("%" BODY ".sha256"), &ref) == OK;
            cr_assert_eq(good, c != 0 && strchr(all, c) != NULL, "byte %d at %zu", c, at);
            if (!good) continue;
            cr_assert_eq(ref_print(&ref, again), 52);
            cr_assert_eq(memcmp(text, again, 52), 0, "byte %d at %zu", c, at);
        }
}

Test(ref, padding_must_be_there)
{
    char text[] = "%" BODY ".sha256";
    text[44] = 'A';
    cr_expect(refused(text));
}

Test(ref, prints_what_it_read)
{
    static const char *const texts[] = { "%" BODY ".sha256", "%" BODY ".cloaked", "@" BODY ".ed25519",
                                         "@" BODY ".sha256", "&" BODY ".sha256" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ref ref;
        char out[REF_TEXT_MAX];
        cr_assert_eq(ref_parse(texts[i], strlen(texts[i]), &ref), OK);
        size_t len = ref_print(&ref, out);
        cr_assert(len == strlen(texts[i]) && memcmp(out, texts[i], len) == 0, "%s", texts[i]);
    }
}

Test(ref, a_kind_that_is_none_prints_nothing)
{
    struct ref ref = { .kind = REF_NONE };
    char out[REF_URI_MAX];
    cr_expect_eq(ref_print(&ref, out), 0);
    cr_expect_eq(ref_print_uri(&ref, out), 0);
}

static bool prints_uri(const char *text, const char *uri)
{
    struct ref ref;
    char out[REF_URI_MAX];
    if (ref_parse(text, strlen(text), &ref) != OK) return false;
    size_t len = ref_print_uri(&ref, out);
    return len == strlen(uri) && memcmp(out, uri, len) == 0;
}

Test(ref, prints_uris_with_padding)
{
    cr_expect(prints_uri("%" BODY ".sha256", "ssb:message/classic/" SAFE "="));
    cr_expect(prints_uri("@" BODY ".ed25519", "ssb:feed/classic/" SAFE "="));
    cr_expect(prints_uri("&" BODY ".sha256", "ssb:blob/classic/" SAFE "="));
    cr_expect(prints_uri("%" BODY ".cloaked", "ssb:message/cloaked/" SAFE "="));
    cr_expect(prints_uri("@" BODY ".sha256", ""));
}

Test(ref, any_takes_the_text_form_with_white_space_around)
{
    cr_expect(any("%" BODY ".sha256", REF_MESSAGE));
    cr_expect(any(" \t@" BODY ".ed25519\r\n", REF_FEED));
}

Test(ref, any_takes_percent_encoding)
{
    cr_expect(any("%25%2B%2F%2b%2fAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw%3D.sha256", REF_MESSAGE), "all of it");
    cr_expect(any("%25+/%2B/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=.sha256", REF_MESSAGE), "some of it");
    cr_expect(any("%+%2F+/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw%3D.sha256", REF_MESSAGE), "all but the sigil");
    cr_expect(any("%40%2B%2F%2B%2FAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw%3D.ed25519", REF_FEED));
    cr_expect(any("%26%2B%2F%2B%2FAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw%3D.sha256", REF_BLOB));
    cr_expect(refused_any("%2525%252B/+/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=.sha256"), "twice is once too often");
}

Test(ref, any_takes_a_raw_message_id_that_looks_percent_encoded)
{
    static const char id[] = "%ab+/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=.sha256";
    static const char rest_encoded[] = "%ab%2B%2FAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw%3D.sha256";
    struct ref raw, got;
    cr_assert_eq(ref_parse(id, strlen(id), &raw), OK);
    cr_assert_eq(ref_parse_any(id, strlen(id), &got), OK);
    cr_expect(ref_equal(&raw, &got));
    cr_assert_eq(ref_parse_any(rest_encoded, strlen(rest_encoded), &got), OK, "only behind the sigil was it encoded");
    cr_expect(ref_equal(&raw, &got));
}

Test(ref, any_takes_spaces_that_were_plusses)
{
    cr_expect(any("% / /AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=.sha256", REF_MESSAGE));
    cr_expect(any("%25 / /AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxw=.sha256", REF_MESSAGE));
}

Test(ref, any_takes_url_safe_base64_led_by_a_sigil)
{
    cr_expect(any("%" SAFE "=.sha256", REF_MESSAGE));
    cr_expect(any("%" SAFE ".sha256", REF_MESSAGE));
    cr_expect(any("%" SAFE "=.cloaked", REF_CLOAKED));
    cr_expect(any("%" SAFE "=", REF_MESSAGE));
    cr_expect(any("%" SAFE, REF_MESSAGE));
    cr_expect(any("@" SAFE, REF_FEED));
    cr_expect(any("@" SAFE "=", REF_FEED));
    cr_expect(any("@" SAFE ".sha256", REF_FEED_SHA256));
    cr_expect(any("&" SAFE, REF_BLOB));
    cr_expect(any("%25" SAFE "%3D.sha256", REF_MESSAGE));
}

Test(ref, any_takes_ssb_uris)
{
    static const char *const types[] = { "message", "feed", "blob" };
    static const char *const olds[] = { "sha256", "ed25519", "sha256" };
    static const uint8_t kinds[] = { REF_MESSAGE, REF_FEED, REF_BLOB };
    for (size_t i = 0; i < 3; i++)
        for (size_t old = 0; old < 2; old++) {
            const char *format = old ? olds[i] : "classic";
            char uri[160];
            snprintf(uri, sizeof uri, "ssb:%s/%s/" SAFE "=", types[i], format);
            cr_expect(any(uri, kinds[i]), "%s", uri);
            snprintf(uri, sizeof uri, "ssb:%s:%s:" SAFE "=", types[i], format);
            cr_expect(any(uri, kinds[i]), "%s", uri);
            snprintf(uri, sizeof uri, "ssb://%s/%s/" SAFE "=", types[i], format);
            cr_expect(any(uri, kinds[i]), "%s", uri);
            snprintf(uri, sizeof uri, "ssb%%3A%s%%2F%s%%2F" SAFE "%%3D", types[i], format);
            cr_expect(any(uri, kinds[i]), "%s", uri);
        }
    cr_expect(any("ssb:message/cloaked/" SAFE "=", REF_CLOAKED));
    cr_expect(any("ssb:blob/classic/" SAFE "=?unbox=abc", REF_BLOB));
    cr_expect(any("ssb:message/classic/" SAFE, REF_MESSAGE), "without padding");
}

Test(ref, any_refuses_what_is_no_classic_id)
{
    cr_expect(refused_any(""));
    cr_expect(refused_any("   "));
    cr_expect(refused_any("%"));
    cr_expect(refused_any("%25"));
    cr_expect(refused_any(SAFE "="), "no sigil");
    cr_expect(refused_any("ssb:feed/sha256/" SAFE "="), "no feed has that format");
    cr_expect(refused_any("ssb:message/ed25519/" SAFE "="));
    cr_expect(refused_any("ssb:feed/bendybutt-v1/" SAFE "="));
    cr_expect(refused_any("ssb:message/classic:" SAFE "="), "mixed marks");
    cr_expect(refused_any("ssb://message:classic:" SAFE "="));
    cr_expect(refused_any("ssb:message/classic/" SAFE "=x"));
    cr_expect(refused_any("ssb:message/classic/"));
    cr_expect(refused_any("%" SAFE "=.sha256/raw"));
    cr_expect(refused_any("%" SAFE "x=.sha256"));
}

Test(ref, any_refuses_endless_text)
{
    static char text[100000];
    struct ref ref;
    memset(text, '%', sizeof text);
    cr_expect_eq(ref_parse_any(text, sizeof text, &ref), ERR_REF);
    cr_expect_lt(strlen(err_detail(ERR_REF)), 512);
}

Test(ref, prefix_finds_a_raw_id_at_the_start)
{
    static const char message[] = "%" BODY ".sha256/raw", feed[] = "@" BODY ".ed25519?x", bare[] = "&" BODY ".sha256";
    cr_expect_eq(ref_prefix(message, strlen(message)), 52);
    cr_expect_eq(ref_prefix(feed, strlen(feed)), 53);
    cr_expect_eq(ref_prefix(bare, strlen(bare)), 52);
    cr_expect_eq(ref_prefix(bare, 51), 0);
    cr_expect_eq(ref_prefix("/" BODY ".sha256", 52), 0);
    cr_expect_eq(ref_prefix("", 0), 0);
}

Test(ref, equal_looks_at_kind_and_bytes)
{
    struct ref a = { .kind = REF_MESSAGE, .id = { 1 } }, b = a, c = a, d = a;
    c.kind = REF_BLOB;
    d.id[31] = 1;
    cr_expect(ref_equal(&a, &b));
    cr_expect_not(ref_equal(&a, &c));
    cr_expect_not(ref_equal(&a, &d));
}

Test(ref, random_bytes_survive_all_three_forms)
{
    const char *given = getenv("SLUICE_TEST_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : 1, state = seed;
    for (int round = 0; round < 20000; round++) {
        static const uint8_t kinds[] = { REF_MESSAGE, REF_CLOAKED, REF_FEED, REF_FEED_SHA256, REF_BLOB };
        struct ref ref = { .kind = kinds[round % 5] }, again;
        char out[REF_URI_MAX];
        for (size_t i = 0; i < 32; i++)
            ref.id[i] = (uint8_t)rand_r(&state);
        size_t len = ref_print(&ref, out);
        cr_assert(ref_parse(out, len, &again) == OK && ref_equal(&ref, &again), "seed %u, round %d", seed, round);
        cr_assert(ref_parse_any(out, len, &again) == OK && ref_equal(&ref, &again), "seed %u, round %d", seed, round);
        len = ref_print_uri(&ref, out);
        if (len == 0) continue;
        cr_assert(ref_parse_any(out, len, &again) == OK && ref_equal(&ref, &again), "seed %u, round %d", seed, round);
    }
}
