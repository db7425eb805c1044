#include "tests/support/stock.h"

#include <stdlib.h>

static struct stock stock;

static void stock_close(void)
{
    corpus_stop(&stock.served);
    corpus_free(&stock.corpus);
}

static void stock_configure(void)
{
    static char any[] = "any";
    stock.config = (struct config){
        .accept = any,
        .body_max = 1 << 20,
        .batch_max = 100,
        .target_max = 8192,
        .limit_max = 1000,
        .sockets_max = 16,
        .subscriptions_max = 4,
        .frame_max = 65536,
        .query_timeout = 60,
        .queries_max = 64,
    };
    stock.server = (struct server){
        .config = &stock.config, .flume = stock.served.flume, .owned = true, .started_ms = flume_now_ms()
    };
}

struct stock *stock_open(void)
{
    static const size_t deleted[] = { 20, STOCK_RECORDS - 3 };
    if (stock.served.flume != NULL) return &stock;
    struct dice dice = { .state = 20150101, .seed = 20150101 };
    corpus_make(&dice, STOCK_RECORDS, &stock.corpus);
    corpus_serve(&stock.corpus, &stock.served);
    corpus_settle(&stock.served);
    for (size_t i = 0; i < sizeof deleted / sizeof *deleted; i++) {
        corpus_delete(&stock.served, stock.corpus.records[deleted[i]].seq);
        stock.deleted[deleted[i]] = true;
    }
    stock_configure();
    (void)atexit(stock_close);
    return &stock;
}
