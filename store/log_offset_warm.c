#include "store/log_offset_impl.h"

#define WARM_STEP ((int64_t)2 << 20) /* a power of two, and not less than a page */
#define WARM_MAX ((int64_t)1 << 30)  /* its page tables take 2 MiB */

bool offset_warm(struct log *base)
{
    struct log_offset *log = offset_of(base);
    struct offset_view view = offset_view_of(log);
    if (!log->warming) {
        log->warming = true;
        log->warm_at = view.end;
        log->warm_least = view.end > WARM_MAX ? view.end - WARM_MAX : 0;
    }
    if (log->warm_at <= log->warm_least || view.map == NULL) return false;
    int64_t from = (log->warm_at - 1) & ~(WARM_STEP - 1);
    file_warm(log->fd, view.map, from, (size_t)(log->warm_at - from));
    log->warm_at = from;
    return true;
}
