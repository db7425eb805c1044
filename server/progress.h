/* A progress bar on stderr, for the commands that take a while. Nothing is shown when stderr is no terminal. One thread. */
#ifndef SERVER_PROGRESS_H
#define SERVER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool on;
    const char *label;  /* borrowed */
    const char *unit;   /* of what is counted: "messages"; borrowed; NULL = nothing is counted */
    int64_t started_ms; /* CLOCK_MONOTONIC */
    int64_t shown_ms;
    bool drawn;
};

void progress_start(struct progress *progress, const char *label, const char *unit);

/* Redraws at most ten times a second. done of total (bytes, say) makes the bar and the ETA; total <= 0 = not known. */
void progress_show(struct progress *progress, int64_t done, int64_t total, int64_t count);

/* Wipes the line, so that what is printed next stands alone. */
void progress_end(struct progress *progress);

#endif
