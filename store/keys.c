#include "store/keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "store/base64.h"
#include "store/err.h"
#include "store/file.h"
#include "store/json.h"

#define PART_MAX 128 /* characters of one member; the private key has 96 */
#define SUFFIX ".ed25519"
#define SUFFIX_LEN (sizeof SUFFIX - 1)

static int not_keys(const char *path, const char *why)
{
    return err_set(ERR_FORMAT, "%s: this is no secret file as ssb-keys makes it: %s", path, why);
}

/* ---- the text --------------------------------------------------------------------------------------------------- */

static void comments_blank(char *text, size_t len)
{
    for (char *at = memchr(text, '#', len); at != NULL; at = memchr(at, '#', (size_t)(text + len - at)))
        while (at < text + len && *at != '\n')
            *at++ = ' ';
}

/* A string member, unescaped into `out`; false if there is none. */
static bool member_read(struct slice object, const char *name, struct buf *out)
{
    struct slice value;
    buf_reset(out);
    if (json_find(object, name, &value) != 1 || !json_is_string(value)) return false;
    return json_unescape(value, out) == OK && out->err == OK;
}

/* "<base64>.ed25519", where the suffix may be missing, as ssb-keys takes it. */
static bool bytes_read(struct slice text, uint8_t *out, size_t wanted)
{
    if (text.len > SUFFIX_LEN && memcmp(text.data + text.len - SUFFIX_LEN, SUFFIX, SUFFIX_LEN) == 0)
        text.len -= SUFFIX_LEN;
    return base64_read_exactly(text, sodium_base64_VARIANT_ORIGINAL, out, wanted);
}

static bool id_fits(struct slice text, const struct ref *id)
{
    struct ref told;
    uint8_t bytes[sizeof id->id];
    if (text.len > 0 && text.data[0] == '@') return ref_try(text.data, text.len, &told) && ref_equal(&told, id);
    return bytes_read(text, bytes, sizeof bytes) && memcmp(bytes, id->id, sizeof bytes) == 0;
}

/* A key that signs with a public half that is not its own tells its secret half to whoever reads two of its signatures. */
static bool halves_fit(const struct keys *keys)
{
    uint8_t id[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    bool fit = crypto_sign_seed_keypair(id, secret, keys->secret) == 0 &&
               sodium_memcmp(secret, keys->secret, sizeof secret) == 0;
    sodium_memzero(secret, sizeof secret);
    return fit;
}

static int object_read(const char *path, struct slice object, struct buf *part, struct keys *keys)
{
    if (member_read(object, "curve", part) && (part->len != 7 || memcmp(part->data, "ed25519", 7) != 0))
        return not_keys(path, "its curve is not ed25519");
    if (!member_read(object, "private", part) ||
        !bytes_read((struct slice){ part->data, part->len }, keys->secret, sizeof keys->secret))
        return not_keys(path, "\"private\" must be 64 bytes in base64, then .ed25519");
    keys->id.kind = REF_FEED;
    memcpy(keys->id.id, keys->secret + crypto_sign_SEEDBYTES, sizeof keys->id.id);
    if (!halves_fit(keys)) return not_keys(path, "the two halves of \"private\" do not belong together");
    uint8_t id[32];
    if (!member_read(object, "public", part) || !bytes_read((struct slice){ part->data, part->len }, id, sizeof id) ||
        memcmp(id, keys->id.id, sizeof id) != 0)
        return not_keys(path, "\"public\" must be the 32 bytes that belong to \"private\", then .ed25519");
    if (member_read(object, "id", part) && !id_fits((struct slice){ part->data, part->len }, &keys->id))
        return not_keys(path, "its id is not that of \"public\"");
    return OK;
}

static bool only_blanks(const char *text, const char *end)
{
    while (text < end && memchr(" \t\r\n", *text, 4) != NULL)
        text++;
    return text == end;
}

int keys_parse(const char *path, char *text, size_t len, struct keys *ret_keys)
{
    char room[PART_MAX];
    struct buf part = { .data = room, .cap = sizeof room, .max = sizeof room };
    struct keys keys = { .id = { .kind = REF_NONE } };
    struct slice object;
    comments_blank(text, len);
    int err = json_skip(text, len, &object);
    if (err != OK || object.len == 0 || object.data[0] != '{' || !only_blanks(object.data + object.len, text + len))
        err = not_keys(path, "beside comments it must hold one JSON object");
    else
        err = object_read(path, object, &part, &keys);
    if (err == OK) *ret_keys = keys;
    sodium_memzero(room, sizeof room);
    sodium_memzero(&keys, sizeof keys);
    return err;
}

/* ---- the file --------------------------------------------------------------------------------------------------- */

static int mode_check(const char *path, int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_errno(path, "stat");
    if (!S_ISREG(st.st_mode)) return err_set(ERR_FORMAT, "%s: a secret file is wanted, and this is no file", path);
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return err_set(ERR_PERM, "%s: others than its owner have rights to this secret (mode %03o): chmod 400 it", path,
                       (unsigned)st.st_mode & 0777U);
    return OK;
}

static int file_parse(const char *path, int fd, struct keys *ret_keys)
{
    char text[KEYS_FILE_MAX + 1];
    size_t len = 0;
    int err = file_read(fd, path, text, sizeof text, 0, &len);
    if (err == OK && len > KEYS_FILE_MAX)
        err = err_set(ERR_LIMIT, "%s: larger than the %d bytes that a secret file may have", path, KEYS_FILE_MAX);
    if (err == OK) err = keys_parse(path, text, len, ret_keys);
    sodium_memzero(text, sizeof text);
    return err;
}

int keys_open(const char *path, struct keys **ret_keys)
{
    int fd = -1;
    struct keys *keys = NULL;
    if (sodium_init() < 0) return err_set(ERR_IO, "libsodium could not be started");
    int err = file_open(path, O_RDONLY, &fd);
    if (err != OK) return err;
    err = mode_check(path, fd);
    if (err != OK) goto out;
    keys = sodium_malloc(sizeof *keys);
    if (keys == NULL) {
        err = err_set(ERR_NOMEM, "%s: no guarded memory for a secret", path);
        goto out;
    }
    err = file_parse(path, fd, keys);
    if (err != OK) goto out;
    (void)sodium_mprotect_readonly(keys);
    *ret_keys = keys;
    keys = NULL;
out:
    keys_free(keys);
    file_close(fd);
    return err;
}

void keys_free(struct keys *keys)
{
    if (keys != NULL) sodium_free(keys);
}
