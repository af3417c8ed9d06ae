/* The runtime library linked statically: takes memory until it is refused, prints how much it had.
   Its own names alone are declared: no header is needed. */
#include <stdio.h>

extern int cudaMalloc(void **at, unsigned long bytes);
extern int cudaMallocManaged(void **at, unsigned long bytes, unsigned flags);
extern int cudaMallocAsync(void **at, unsigned long bytes, void *stream);
extern int cudaMemGetInfo(unsigned long *free, unsigned long *total);
extern int cudaGetLastError(void);

int main(void) {
    unsigned long step = 64UL << 20, had = 0, left = 0, total = 0;
    void *at;
    while (cudaMalloc(&at, step) == 0) had += step;
    while (cudaMallocManaged(&at, step, 1) == 0) had += step;
    while (cudaMallocAsync(&at, step, 0) == 0) had += step;
    cudaGetLastError();
    if (cudaMemGetInfo(&left, &total)) return 1;
    printf("%lu %lu %lu\n", had, left, total);
    return 0;
}
