/* Brings the views of a log to its head:  bench_rebuild LOG VIEWS ROW [memory]
 *
 * Prints the seconds from opening until every view is there that is not built late, and as ROW-all until those are, too; what the folder VIEWS
 * holds decides whether that is a cold rebuild or a catch-up. With "memory" the figures are bytes instead: ROW gets the peak of what is the process's own (anonymous and shared
 * memory), ROW-mapped that of everything but the log, the views' pages in the page cache included. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/err.h"
#include "tests/bench/bench.h"
#include "tests/bench/flume.h"

#define SAMPLE_US 20000

struct watch {
    pthread_t thread;
    atomic_bool over;
    ino_t log;
    double own, mapped;
};

static double status_bytes(void)
{
    char line[256];
    double sum = 0, kib;
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL) bench_die("/proc/self/status cannot be read");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %lf", &kib) == 1 || sscanf(line, "RssShmem: %lf", &kib) == 1) sum += kib * 1024;
    }
    (void)fclose(file);
    return sum;
}

static double smaps_bytes(ino_t log)
{
    char line[4400], range[64];
    unsigned long inode = 0;
    double sum = 0, kib;
    FILE *file = fopen("/proc/self/smaps", "re");
    if (file == NULL) bench_die("/proc/self/smaps cannot be read");
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long found;
        if (sscanf(line, "%63[0-9a-f-] %*4s %*s %*s %lu", range, &found) == 2 && strchr(range, '-') != NULL)
            inode = found;
        else if (inode != log && sscanf(line, "Rss: %lf", &kib) == 1)
            sum += kib * 1024;
    }
    (void)fclose(file);
    return sum;
}

static void *watch_run(void *ctx)
{
    struct watch *watch = ctx;
    for (bool last = false; !last;) {
        last = atomic_load(&watch->over);
        double own = status_bytes(), mapped = smaps_bytes(watch->log);
        if (own > watch->own) watch->own = own;
        if (mapped > watch->mapped) watch->mapped = mapped;
        (void)usleep(SAMPLE_US);
    }
    return NULL;
}

static void watch_start(struct watch *watch, const char *log_path)
{
    struct stat info;
    if (stat(log_path, &info) != 0) bench_die("%s is not there", log_path);
    *watch = (struct watch){ .log = info.st_ino };
    if (pthread_create(&watch->thread, NULL, watch_run, watch) != 0) bench_die("no thread");
}

int main(int argc, char **argv)
{
    struct watch watch;
    struct flume *flume;
    char name[128];
    if (argc < 4) bench_die("usage: bench_rebuild LOG VIEWS ROW [memory]");
    bool memory = argc > 4;
    if (memory) watch_start(&watch, argv[1]);

    double began = bench_now();
    bench_flume_open(argv[1], argv[2], &flume);
    bench_flume_wait(flume, true);
    double took = bench_now() - began;
    bench_flume_wait(flume, false);
    double all = bench_now() - began;
    struct flume_status status;
    flume_status(flume, &status);
    flume_close(flume);

    (void)snprintf(name, sizeof name, "%s-mapped", argv[3]);
    if (memory) {
        atomic_store(&watch.over, true);
        (void)pthread_join(watch.thread, NULL);
        bench_put(argv[3], "sluice", watch.own);
        bench_put(name, "sluice", watch.mapped);
    } else {
        bench_put(argv[3], "sluice", took);
        (void)snprintf(name, sizeof name, "%s-all", argv[3]);
        bench_put(name, "sluice", all);
        bench_fact(argv[3], "sluice", (double)status.count);
    }
    return 0;
}
