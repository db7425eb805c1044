/* Rows: the answer of a list route as something that can be pulled, one JSON object at a time, so that a page, an NDJSON stream, an SSE stream and a
 * WebSocket subscription are one piece of code and a slow client costs nothing but its place. */
#ifndef SERVER_ROWS_H
#define SERVER_ROWS_H

#include "server/api.h"
#include "views/filter.h"

struct rows_ops {
    /* 1 = one row appended to `out` (a JSON value without newlines) and rows->cursor set; 0 = none now (rows->ended: none ever); <0 = error */
    int (*next)(struct rows *rows, struct buf *out);
    /* The query parameters that continue after the last row ("gt=123"), for the next-page link; replaces the cursor parameters of the request. */
    int (*next_page)(struct rows *rows, struct buf *out);
    void (*free)(struct rows *rows);
    /* What a JSON page says before its rows, each member with a comma behind it. NULL = nothing. */
    int (*head)(struct rows *rows, struct buf *out);
    /* Lines of NDJSON that are made by copying, as many as `out` has memory for; where it ends, `next` goes on. Limits and `uri_ids` are not its
     * affair. NULL = there are none. */
    void (*copy)(struct rows *rows, struct buf *out);
};

/* First member of every kind of rows. */
struct rows {
    const struct rows_ops *ops;
    struct server *server;
    const char *member; /* of the JSON page: "messages" */
    int64_t limit;      /* rows still to be given; -1 = no limit */
    bool live;          /* more may come after the last one */
    bool ended;
    bool fresh;            /* the last row comes of a record above `since` */
    bool watched;          /* rows_watch */
    bool uri_ids;          /* rows_next gives ssb: URIs in place of ids (ids.h) */
    uint32_t views;        /* that the rows are made from */
    const struct log *log; /* the only one that they may be made from; NULL = it is not looked at */
    int64_t since;         /* what the answer knows: set when the rows are opened */
    int64_t cursor;        /* seq of the last row, SEQ_EMPTY before the first: SSE's id */
};

/* rows->ops->next under rows->limit: the one that everybody calls. */
int rows_next(struct rows *rows, struct buf *out);
void rows_free(struct rows *rows); /* NULL is fine */

/* Until they are freed somebody reads these rows as they come: views that may fall behind do not (flume_watch). */
void rows_watch(struct rows *rows);

/* rows_next with the frame of a stream around the row: a line of NDJSON, or an event of SSE with rows->cursor as its id. */
int rows_next_framed(struct rows *rows, enum api_format format, struct buf *out);

/* As many rows without a limit as can be framed by copying into the memory that `out` has: what is cheaper for many than one by one. None at all is
 * fine: rows_next_framed gives the next one in any case. */
void rows_copy_framed(struct rows *rows, enum api_format format, struct buf *out);

/* What a stream ends with when rows_next failed: a line {"error":PROBLEM}, or an SSE event named "error". */
int rows_error_framed(int err, enum api_format format, struct buf *out);

/* One record as the API shows it: {"seq":N,"key":…,"value":…,"timestamp":…}: the stored bytes with seq spliced in front. A record that is no object with a
 * "key" in front, or has a name of ours (record_names_ours), is shown as {"seq":N,"value":RECORD}; one that is no JSON as {"seq":N,"base64":"…"}. Newlines between tokens become spaces. */
int record_print(const struct log_record *record, struct buf *out);

/* The same for a record of `log`, and behind seq `"encrypted":FORMAT` if its content is. Cheaper: what was found out about the record is remembered in
 * server->plain. */
int record_show(const struct server *server, const struct log *log, const struct log_record *record, struct buf *out);

/* The same with a newline behind it, if that is known to be a copy and `out` has the memory; false = nothing was done. */
bool record_copy(const struct server *server, const struct log *log, const struct log_record *record, struct buf *out);

#endif
