/* A server without sockets over a fixed log with everything odd in it, two of its records deleted: made at the first call, closed when the
 * process ends. For fuzzers, which ask it thousands of times. */
#ifndef TESTS_SUPPORT_STOCK_H
#define TESTS_SUPPORT_STOCK_H

#include "server/api.h"
#include "tests/support/corpus.h"

#define STOCK_RECORDS 160

struct stock {
    struct corpus corpus;
    bool deleted[STOCK_RECORDS];
    struct corpus_flume served;
    struct config config;
    struct server server;
};

struct stock *stock_open(void);

#endif
