/* The one list of what can go wrong below the server.
 *
 * Functions of store/ and views/ answer 0 (OK) or one of these negative codes; a few answer 1 where "one more"
 * means something, and say so. They never print. What exactly happened, with the place and what to do about
 * it, is left in a text of the calling thread, as dlerror() does: only the caller that gives up shows it. */
#ifndef STORE_ERR_H
#define STORE_ERR_H

#define ERR_LIST(X)                                                       \
    X(ERR_NOMEM, -1, "out of memory")                                     \
    X(ERR_IO, -2, "the file could not be read or written")                \
    X(ERR_NOSPACE, -3, "no space left on the device")                     \
    X(ERR_NOFILE, -4, "no such file or folder")                           \
    X(ERR_PERM, -5, "permission denied")                                  \
    X(ERR_BUSY, -6, "in use by another process")                          \
    X(ERR_CORRUPT, -7, "damaged data")                                    \
    X(ERR_FORMAT, -8, "not a format that Sluice knows")                   \
    X(ERR_READONLY, -9, "open for reading only")                          \
    X(ERR_NOSEQ, -10, "no record at that seq")                            \
    X(ERR_BOUNDARY, -11, "that seq is not the start of a record")         \
    X(ERR_DELETED, -12, "the record was deleted")                         \
    X(ERR_LIMIT, -13, "over a limit")                                     \
    X(ERR_ARG, -14, "not a valid value")                                  \
    X(ERR_JSON, -15, "not valid JSON")                                    \
    X(ERR_REF, -16, "not a message, feed or blob id")                     \
    X(ERR_INVALID, -17, "not a valid message")                            \
    X(ERR_FORK, -18, "the message would fork its feed")                   \
    X(ERR_TIMEOUT, -19, "not ready in time")                              \
    X(ERR_CLOSED, -20, "closed")                                          \
    X(ERR_CHANGED, -21, "the log was replaced or rewritten by its owner") \
    X(ERR_NOTFOUND, -22, "not found")                                     \
    X(ERR_QUEUE, -23, "too many requests are waiting")                    \
    X(ERR_SLOW, -24, "takes longer than a query may")                     \
    X(ERR_STALE, -25, "the feed has gone on meanwhile")                   \
    X(ERR_SHARE, -26, "too many requests of one address are waiting")

enum err {
    OK = 0,
#define ERR_ENUM(name, code, text) name = code,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* The sentence of the list, without a full stop. Any thread; never NULL. */
const char *err_text(int code);

/* The name of the code in the list, "ERR_IO"; "OK" for 0. */
const char *err_name(int code);

/* Leaves a detail for this thread and answers `code`, so that a failure is one line:
 *     return err_set(ERR_CORRUPT, "%s: bad length at offset %lld; see `sluice verify`", path, at); */
int err_set(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Like err_set with the code chosen from `errno` and its text added: "PATH: DOING: No such file or directory". */
int err_errno(const char *path, const char *doing);

/* What this thread's last err_set said, or the sentence of `code` if that was for another code. Never NULL;
 * valid until this thread's next err_set. */
const char *err_detail(int code);

#endif
