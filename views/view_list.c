#include "views/view.h"

#define VIEW(name) extern const struct view_ops view_##name##_ops;
#include "views/views.def"
#undef VIEW

const struct view_ops *const view_list[VIEW_COUNT + 1] = {
#define VIEW(name) [VIEW_##name] = &view_##name##_ops,
#include "views/views.def"
#undef VIEW
};
