/* The three formats that feed readers know, over what reader.c gathers. Only reader.c and reader_print.c. */
#ifndef SERVER_READER_PRINT_H
#define SERVER_READER_PRINT_H

#include "server/api.h"

/* Texts are clean (reader_text.h). */
struct reader_about {
    struct slice title;
    struct slice uri;  /* of what it is about, always the same */
    struct slice self; /* where this document is */
    bool page;         /* the URI leads somewhere */
    double updated;    /* ms */
};

struct reader_item {
    struct ref id, author;
    struct slice title, text, author_name, channel; /* channel: data NULL = none */
    double time;
};

struct reader_ops {
    const char *type; /* of the answer */
    void (*begin)(struct buf *out, const struct reader_about *about);
    void (*item)(struct buf *out, const struct reader_item *item, bool first);
    void (*end)(struct buf *out);
};

const struct reader_ops *reader_ops_of(enum api_format format);

#endif
