#include "server/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"

#define READ_BYTES ((size_t)1 << 20)

int line_reader_open(struct line_reader *reader, const char *path, size_t line_max)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(path, "open");
    struct stat info;
    bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    *reader = (struct line_reader){
        .fd = fd,
        .name = standard ? "standard input" : path,
        .line_max = line_max,
        .size = regular ? (int64_t)info.st_size : 0,
    };
    buf_init(&reader->buf, line_max + 2 * READ_BYTES);
    return OK;
}

void line_reader_close(struct line_reader *reader)
{
    if (reader->fd >= 0) (void)close(reader->fd);
    reader->fd = -1;
    buf_free(&reader->buf);
}

/* Reads more behind what is there, after moving it to the front. */
static int fill(struct line_reader *reader)
{
    struct buf *buf = &reader->buf;
    if (reader->at > 0) {
        memmove(buf->data, buf->data + reader->at, buf->len - reader->at);
        buf->len -= reader->at;
        reader->at = 0;
    }
    int err = buf_reserve(buf, READ_BYTES);
    if (err != OK) return err;
    ssize_t got = 0;
    do {
        got = read(reader->fd, buf->data + buf->len, READ_BYTES);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return err_errno(reader->name, "reading");
    buf->len += (size_t)got;
    if (got == 0) reader->ended = true;
    return OK;
}

/* The next line with its end; 0 = no more. */
static int take_line(struct line_reader *reader, struct slice *ret_line)
{
    size_t searched = 0; /* bytes behind `at` without a newline */
    for (;;) {
        const char *start = reader->buf.data != NULL ? reader->buf.data + reader->at : "";
        size_t have = reader->buf.len - reader->at;
        const char *end = have > searched ? memchr(start + searched, '\n', have - searched) : NULL;
        size_t len = end != NULL ? (size_t)(end - start) + 1 : have;
        if (len > reader->line_max + 1)
            return err_set(ERR_LIMIT, "line %" PRId64 " has more than %zu bytes", reader->line + 1, reader->line_max);
        if (end != NULL || (reader->ended && have > 0)) {
            *ret_line = (struct slice){ start, len };
            reader->at += len;
            reader->bytes += (int64_t)len;
            reader->line++;
            return 1;
        }
        if (reader->ended) return 0;
        searched = have;
        int err = fill(reader);
        if (err != OK) return err;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int line_reader_next(struct line_reader *reader, struct slice *ret_line)
{
    struct slice line;
    int got = 0;
    while ((got = take_line(reader, &line)) == 1) {
        while (line.len > 0 && is_space(line.data[line.len - 1]))
            line.len--;
        while (line.len > 0 && is_space(line.data[0])) {
            line.data++;
            line.len--;
        }
        if (line.len == 0) continue;
        *ret_line = line;
        return 1;
    }
    return got;
}
