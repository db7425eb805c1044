#include "server/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH 30
#define REDRAW_MS 100

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void progress_start(struct progress *progress, const char *label, const char *unit)
{
    const char *term = getenv("TERM");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    *progress = (struct progress){
        .on = isatty(STDERR_FILENO) == 1 && !dumb,
        .label = label,
        .unit = unit,
        .started_ms = now_ms(),
    };
}

static void put_eta(double seconds)
{
    if (seconds < 60)
        fprintf(stderr, "  %.0f s left", seconds);
    else if (seconds < 3600)
        fprintf(stderr, "  %d:%02d min left", (int)seconds / 60, (int)seconds % 60);
    else
        fprintf(stderr, "  %.1f h left", seconds / 3600);
}

static void put_bar(double part)
{
    char bar[BAR_WIDTH + 1];
    int full = (int)(part * BAR_WIDTH);
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, " [%s] %3d %%", bar, (int)(part * 100));
}

void progress_show(struct progress *progress, int64_t done, int64_t total, int64_t count)
{
    if (!progress->on) return;
    int64_t now = now_ms();
    if (progress->drawn && now - progress->shown_ms < REDRAW_MS) return;
    progress->shown_ms = now;
    progress->drawn = true;
    double seconds = (double)(now - progress->started_ms) / 1000;
    double part = total > 0 ? (double)done / (double)total : 0;
    if (part > 1) part = 1;

    fprintf(stderr, "\r\033[K%s", progress->label);
    if (total > 0) put_bar(part);
    if (progress->unit != NULL) {
        fprintf(stderr, "  %lld %s", (long long)count, progress->unit);
        if (seconds > 0.5) fprintf(stderr, ", %.0f/s", (double)count / seconds);
    }
    if (total > 0 && part > 0.001 && seconds > 0.5) put_eta(seconds / part - seconds);
    (void)fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->drawn) fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    progress->drawn = false;
}
