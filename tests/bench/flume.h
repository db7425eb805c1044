/* Log and views as a server opens them that follows the log. */
#ifndef TESTS_BENCH_FLUME_H
#define TESTS_BENCH_FLUME_H

#include "views/flume.h"

void bench_flume_open(const char *log_path, const char *views_dir, struct flume **ret_flume);

/* Returns once all views are at the log's head; with `early`, once all are that are not built late (view.h). */
void bench_flume_wait(struct flume *flume, bool early);

#endif
