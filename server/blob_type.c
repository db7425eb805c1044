#include "server/blob_type.h"

#include <string.h>
#include <strings.h>

#include "store/buf.h"
#include "store/utf8.h"

/* Bytes at a place, and perhaps more of them at another one. */
static const struct magic {
    size_t at;
    const char *bytes;
    size_t len;
    size_t then;
    const char *also; /* text */
    struct blob_type type;
} magics[] = {
#define MAGIC(at, bytes, ...)                  \
    {                                          \
        at, bytes, sizeof(bytes) - 1, 0, NULL, \
        {                                      \
            __VA_ARGS__                        \
        }                                      \
    }
#define MAGIC_ALSO(at, bytes, then, also, ...)    \
    {                                             \
        at, bytes, sizeof(bytes) - 1, then, also, \
        {                                         \
            __VA_ARGS__                           \
        }                                         \
    }
    MAGIC(0, "\x89PNG\r\n\x1a\n", "image/png", false),
    MAGIC(0, "\xff\xd8\xff", "image/jpeg", false),
    MAGIC(0, "GIF87a", "image/gif", false),
    MAGIC(0, "GIF89a", "image/gif", false),
    MAGIC_ALSO(0, "RIFF", 8, "WEBP", "image/webp", false),
    MAGIC_ALSO(0, "RIFF", 8, "WAVE", "audio/wav", false),
    MAGIC_ALSO(0, "RIFF", 8, "AVI ", "video/x-msvideo", false),
    MAGIC(0, "BM", "image/bmp", false),
    MAGIC(0, "II*\0", "image/tiff", false),
    MAGIC(0, "MM\0*", "image/tiff", false),
    MAGIC(0, "\0\0\1\0", "image/x-icon", false),
    MAGIC(4, "ftypavif", "image/avif", false),
    MAGIC(4, "ftypavis", "image/avif", false),
    MAGIC(4, "ftypheic", "image/heic", false),
    MAGIC(4, "ftypheix", "image/heic", false),
    MAGIC(4, "ftypmif1", "image/heif", false),
    MAGIC(4, "ftypM4A", "audio/mp4", false),
    MAGIC(4, "ftypqt", "video/quicktime", false),
    MAGIC(4, "ftyp", "video/mp4", false),
    MAGIC(0, "OggS", "audio/ogg", false),
    MAGIC(0, "ID3", "audio/mpeg", false),
    MAGIC(0, "\xff\xfb", "audio/mpeg", false),
    MAGIC(0, "\xff\xf3", "audio/mpeg", false),
    MAGIC(0, "\xff\xf2", "audio/mpeg", false),
    MAGIC(0, "fLaC", "audio/flac", false),
    MAGIC(0, "\xff\xf1", "audio/aac", false),
    MAGIC(0, "\xff\xf9", "audio/aac", false),
    MAGIC(0, "%PDF-", "application/pdf", true),
    MAGIC(0, "PK\x03\x04", "application/zip", true),
    MAGIC(0, "\x1f\x8b", "application/gzip", true),
#undef MAGIC_ALSO
#undef MAGIC
};

static bool bytes_at(struct slice data, size_t at, const char *bytes, size_t len)
{
    return data.len >= at && data.len - at >= len && memcmp(data.data + at, bytes, len) == 0;
}

static const struct blob_type *magic_type(struct slice data)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        const struct magic *magic = &magics[i];
        if (!bytes_at(data, magic->at, magic->bytes, magic->len)) continue;
        if (magic->also == NULL || bytes_at(data, magic->then, magic->also, strlen(magic->also))) return &magic->type;
    }
    return NULL;
}

/* Containers that say inside what they hold. */
static bool container_type(struct slice data, struct blob_type *ret_type)
{
    if (bytes_at(data, 0, "\x1a\x45\xdf\xa3", 4)) {
        size_t look = data.len < 64 ? data.len : 64;
        ret_type->type = memmem(data.data, look, "webm", 4) != NULL ? "video/webm" : "video/x-matroska";
    } else if (bytes_at(data, 0, "OggS", 4) && bytes_at(data, 28, "\x80theora", 7)) {
        ret_type->type = "video/ogg";
    } else {
        return false;
    }
    ret_type->save = false;
    return true;
}

/* UTF-8 without control characters; the last character may be cut off if there is more behind it. */
static bool is_text(struct slice data, bool whole)
{
    for (size_t at = 0; at < data.len;) {
        unsigned char c = (unsigned char)data.data[at];
        if (c == 0x7f || (c < ' ' && strchr("\t\n\v\f\r\x1b", c) == NULL) || c == '\0') return false;
        if (c < 0x80) {
            at++;
            continue;
        }
        size_t len = utf8_length((const unsigned char *)data.data + at, data.len - at);
        if (len == 0) return !whole && data.len - at < 4;
        at += len;
    }
    return true;
}

static struct slice text_behind(struct slice text, const char *end)
{
    const char *found = memmem(text.data, text.len, end, strlen(end));
    size_t skip = found == NULL ? text.len : (size_t)(found - text.data) + strlen(end);
    return (struct slice){ text.data + skip, text.len - skip };
}

static bool text_starts(struct slice text, const char *word)
{
    return text.len >= strlen(word) && strncasecmp(text.data, word, strlen(word)) == 0;
}

/* Is its first element svg, behind whatever XML lets stand in front of it? */
static bool is_svg(struct slice text)
{
    if (bytes_at(text, 0, "\xef\xbb\xbf", 3)) text = (struct slice){ text.data + 3, text.len - 3 };
    while (text.len > 0) {
        if (strchr(" \t\r\n", text.data[0]) != NULL)
            text = (struct slice){ text.data + 1, text.len - 1 };
        else if (text_starts(text, "<!--"))
            text = text_behind(text, "-->");
        else if (text_starts(text, "<?"))
            text = text_behind(text, "?>");
        else if (text_starts(text, "<!"))
            text = text_behind(text, ">");
        else
            return text_starts(text, "<svg") && text.len > 4 && strchr(" \t\r\n>/", text.data[4]) != NULL;
    }
    return false;
}

struct blob_type blob_type_of(const char *data, size_t len, bool whole)
{
    struct slice bytes = { data, len };
    struct blob_type type;
    if (container_type(bytes, &type)) return type;
    const struct blob_type *known = magic_type(bytes);
    if (known != NULL) return *known;
    if (len == 0 || !is_text(bytes, whole)) return (struct blob_type){ "application/octet-stream", true };
    if (is_svg(bytes)) return (struct blob_type){ "image/svg+xml", true };
    /* pages and scripts among them: nobody runs what is plain text */
    return (struct blob_type){ "text/plain; charset=utf-8", false };
}
