#include <criterion/criterion.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/err.h"
#include "store/keys.h"
#include "tests/support/scratch.h"

static uint8_t public_key[32], secret_key[64];
static char public_text[48], secret_text[96];
static char *folder;
static char path[SCRATCH_PATH];

static void base64(const uint8_t *bytes, size_t len, char *out, size_t size)
{
    (void)sodium_bin2base64(out, size, bytes, len, sodium_base64_VARIANT_ORIGINAL);
}

static void key_pair(uint32_t number)
{
    uint8_t seed[32];
    memset(seed, 7, sizeof seed);
    memcpy(seed, &number, sizeof number);
    (void)crypto_sign_seed_keypair(public_key, secret_key, seed);
    base64(public_key, sizeof public_key, public_text, sizeof public_text);
    base64(secret_key, sizeof secret_key, secret_text, sizeof secret_text);
}

static void setup(void)
{
    cr_assert(sodium_init() >= 0);
    key_pair(0);
    folder = scratch_make();
    scratch_path(folder, "secret", path);
}

static void teardown(void)
{
    scratch_remove(folder);
}

TestSuite(keys, .init = setup, .fini = teardown);

/* In `pattern` P stands for the public key, S for the private one, both in base64. */
static char *filled(const char *pattern)
{
    char *text = calloc(1, 4096);
    for (; *pattern != '\0'; pattern++) {
        char one[2] = { *pattern, '\0' };
        strcat(text, *pattern == 'P' ? public_text : *pattern == 'S' ? secret_text : one);
    }
    return text;
}

static int parse(const char *pattern, struct keys *ret_keys)
{
    char *text = filled(pattern);
    int err = keys_parse("here", text, strlen(text), ret_keys);
    free(text);
    return err;
}

#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define WHOLE "{\"curve\":\"ed25519\",\"public\":\"P.ed25519\",\"private\":\"S.ed25519\",\"id\":\"@P.ed25519\"}"

static void write_mode(const char *pattern, mode_t mode)
{
    char *text = filled(pattern);
    scratch_write(path, text, strlen(text));
    free(text);
    cr_assert_eq(chmod(path, mode), 0);
}

Test(keys, a_secret_is_read_as_ssb_keys_writes_it)
{
    static const char *const texts[] = {
        WHOLE,
        "# this is your secret\n# never show it: \"}{#\n\n" WHOLE "\n# the end",
        "#\n{\n  \"curve\": \"ed25519\",\n  \"public\": \"P.ed25519\", # mine\n  \"private\": \"S.ed25519\"\n}\n",
        "{\"private\":\"S\",\"public\":\"P\",\"id\":\"P.ed25519\"}",
        "{\"more\":[{\"private\":1}],\"private\":\"wrong\",\"private\":\"S.ed25519\",\"public\":\"P.ed25519\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct keys keys;
        cr_assert_eq(parse(texts[i], &keys), OK, "%s: %s", texts[i], err_detail(ERR_FORMAT));
        cr_expect_eq(keys.id.kind, REF_FEED);
        cr_expect_arr_eq(keys.id.id, public_key, 32);
        cr_expect_arr_eq(keys.secret, secret_key, 64);
    }
}

Test(keys, what_is_no_secret_is_refused_and_never_repeated)
{
    static const char *const texts[] = {
        "",
        "S.ed25519", /* how secrets looked before they were JSON */
        "[\"S.ed25519\"]",
        "{}",
        WHOLE WHOLE,
        "{\"private\":\"S.ed25519\"",
        "{\"private\":\"S.ed25519\"}",
        "{\"public\":\"P.ed25519\"}",
        "{\"private\":{\"S.ed25519\":1},\"public\":\"P.ed25519\"}",
        "{\"private\":\"P.ed25519\",\"public\":\"P.ed25519\"}",
        "{\"private\":\"SS.ed25519\",\"public\":\"P.ed25519\"}",
        "{\"private\":\"S.ed25519\",\"public\":\"S.ed25519\"}",
        "{\"private\":\"S.ed25519\",\"public\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=.ed25519\"}",
        "{\"curve\":\"k256\",\"private\":\"S.ed25519\",\"public\":\"P.ed25519\"}",
        "{\"private\":\"S.ed25519\",\"public\":\"P.ed25519\",\"id\":\"@" ZEROS ".ed25519\"}",
        "{\"private\":\"S.ed25519\",\"public\":\"P.ed25519\",\"id\":\"\"}",
        "{\"private\":\"\\uS.ed25519\",\"public\":\"P.ed25519\"}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct keys keys = { .id = { .kind = 'x' } };
        cr_expect_eq(parse(texts[i], &keys), ERR_FORMAT, "%s", texts[i]);
        cr_expect_eq(keys.id.kind, 'x', "untouched");
        cr_expect_not_null(strstr(err_detail(ERR_FORMAT), "here"));
        cr_expect_null(strstr(err_detail(ERR_FORMAT), secret_text));
    }
}

/* "ï" is two bytes that some decoders take for two slashes. */
Test(keys, a_secret_is_ascii)
{
    struct keys keys;
    char *slashes;
    for (uint32_t number = 1; (slashes = strstr(secret_text, "//")) == NULL; number++)
        key_pair(number);
    cr_expect_eq(parse(WHOLE, &keys), OK);
    memcpy(slashes, "\xC3\xAF", 2);
    cr_expect_eq(parse(WHOLE, &keys), ERR_FORMAT);
}

Test(keys, halves_of_two_keys_would_give_the_secret_away)
{
    struct keys keys;
    secret_key[40] ^= 1;
    base64(secret_key, sizeof secret_key, secret_text, sizeof secret_text);
    base64(secret_key + 32, 32, public_text, sizeof public_text);
    cr_expect_eq(parse(WHOLE, &keys), ERR_FORMAT);
    cr_expect_not_null(strstr(err_detail(ERR_FORMAT), "halves"));
}

Test(keys, a_file_is_for_its_owner_alone)
{
    static const mode_t others[] = { 0440, 0404, 0640, 0620, 0602, 0601, 0610, 0777 };
    struct keys *keys = NULL;
    write_mode(WHOLE, 0600);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_assert_eq(chmod(path, others[i]), 0);
        cr_expect_eq(keys_open(path, &keys), ERR_PERM, "%o", (unsigned)others[i]);
        cr_expect_not_null(strstr(err_detail(ERR_PERM), "chmod 400"));
    }
    cr_expect_null(keys);
    static const mode_t own[] = { 0400, 0600, 0700 };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        cr_assert_eq(chmod(path, own[i]), 0);
        cr_assert_eq(keys_open(path, &keys), OK, "%s", err_detail(ERR_PERM));
        cr_expect_arr_eq(keys->id.id, public_key, 32);
        cr_expect_arr_eq(keys->secret, secret_key, 64);
        keys_free(keys);
    }
    keys_free(NULL);
}

Test(keys, what_is_no_file_or_too_large_is_told)
{
    struct keys *keys = NULL;
    cr_expect_eq(keys_open(path, &keys), ERR_NOFILE);
    cr_expect_eq(keys_open(folder, &keys), ERR_FORMAT);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(keys_open(path, &keys), ERR_FORMAT, "and it does not wait for a writer");
    cr_assert_eq(remove(path), 0);
    char *text = malloc(KEYS_FILE_MAX + 1);
    memset(text, ' ', KEYS_FILE_MAX + 1);
    char *whole = filled(WHOLE);
    memcpy(text, whole, strlen(whole));
    scratch_write(path, text, KEYS_FILE_MAX);
    cr_assert_eq(chmod(path, 0600), 0);
    cr_assert_eq(keys_open(path, &keys), OK, "%s", err_detail(ERR_FORMAT));
    keys_free(keys);
    keys = NULL;
    scratch_write(path, text, KEYS_FILE_MAX + 1);
    cr_expect_eq(keys_open(path, &keys), ERR_LIMIT);
    cr_expect_null(keys);
    free(whole);
    free(text);
}
