/* What wasi-libc asks of its system, answered inside the image, so that it imports nothing but `skerry`.
 *
 * Owns: the clock that JavaScript sees. Must not know: JavaScript.
 */
#include <stdint.h>
#include <string.h>
#include "engine.h"

double sk_now_ms = 0;

#define WASI(name) __imported_wasi_snapshot_preview1_##name
#define ENOTSUP_WASI 58
#define EBADF_WASI 8

/* The clock stands still while JavaScript computes: a loop can not measure how long it runs (DESIGN 4.3). */
int32_t WASI(clock_time_get)(int32_t id, int64_t precision, int32_t out)
{
    uint64_t ns = (uint64_t)(sk_now_ms * 1e6);
    (void)id;
    (void)precision;
    memcpy((void *)out, &ns, sizeof ns);
    return 0;
}

int32_t WASI(clock_res_get)(int32_t id, int32_t out)
{
    uint64_t ns = 1000000;
    (void)id;
    memcpy((void *)out, &ns, sizeof ns);
    return 0;
}

int32_t WASI(fd_write)(int32_t fd, int32_t iovs, int32_t count, int32_t out)
{
    uint32_t total = 0;
    (void)fd;
    for (int32_t i = 0; i < count; i++)
        total += ((uint32_t *)iovs)[2 * i + 1];
    memcpy((void *)out, &total, sizeof total);
    return 0;
}

int32_t WASI(fd_close)(int32_t fd) { (void)fd; return EBADF_WASI; }
/* zig's libc has a `close` of its own that would import fd_close again. */
int close(int fd) { (void)fd; return -1; }
int32_t WASI(fd_seek)(int32_t fd, int64_t offset, int32_t whence, int32_t out)
{
    (void)fd; (void)offset; (void)whence; (void)out;
    return EBADF_WASI;
}
int32_t WASI(fd_read)(int32_t fd, int32_t iovs, int32_t count, int32_t out)
{
    (void)fd; (void)iovs; (void)count; (void)out;
    return EBADF_WASI;
}
int32_t WASI(fd_fdstat_get)(int32_t fd, int32_t out) { (void)fd; (void)out; return EBADF_WASI; }
int32_t WASI(fd_fdstat_set_flags)(int32_t fd, int32_t flags) { (void)fd; (void)flags; return EBADF_WASI; }
int32_t WASI(fd_prestat_get)(int32_t fd, int32_t out) { (void)fd; (void)out; return EBADF_WASI; }
int32_t WASI(fd_prestat_dir_name)(int32_t fd, int32_t out, int32_t length)
{
    (void)fd; (void)out; (void)length;
    return EBADF_WASI;
}
int32_t WASI(environ_sizes_get)(int32_t count, int32_t size)
{
    *(uint32_t *)count = 0;
    *(uint32_t *)size = 0;
    return 0;
}
int32_t WASI(environ_get)(int32_t list, int32_t buffer) { (void)list; (void)buffer; return 0; }
int32_t WASI(random_get)(int32_t out, int32_t length) { (void)out; (void)length; return ENOTSUP_WASI; }
int32_t WASI(poll_oneoff)(int32_t in, int32_t out, int32_t count, int32_t done)
{
    (void)in; (void)out; (void)count; (void)done;
    return ENOTSUP_WASI;
}
int32_t WASI(sched_yield)(void) { return 0; }
_Noreturn void WASI(proc_exit)(int32_t code)
{
    (void)code;
    __builtin_trap();
}
