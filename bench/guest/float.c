/* Scalar double-precision arithmetic: the sun and four planets pull each other, in steps of a hundredth of a year. */
#include "bench.h"

#define PI 3.141592653589793
#define SOLAR_MASS (4 * PI * PI)
#define DAYS_PER_YEAR 365.24
#define TIME_STEP 0.01
enum { BODIES = 5 };

struct body {
    double x, y, z;    /* astronomical units */
    double vx, vy, vz; /* astronomical units per year */
    double mass;       /* such that the gravitational constant is 1 */
};

#define BODY(X, Y, Z, VX, VY, VZ, MASS) \
    { X, Y, Z, VX *DAYS_PER_YEAR, VY *DAYS_PER_YEAR, VZ *DAYS_PER_YEAR, MASS *SOLAR_MASS }

/* Positions, velocities per day and masses in suns: the Sun, Jupiter, Saturn, Uranus, Neptune. */
static struct body bodies[BODIES] = {
    BODY(0, 0, 0, 0, 0, 0, 1),
    BODY(4.84143144246472090, -1.16032004402742839, -0.103622044471123109,
         0.00166007664274403694, 0.00769901118419740425, -0.0000690460016972063023, 0.000954791938424326609),
    BODY(8.34336671824457987, 4.12479856412430479, -0.403523417114321381,
         -0.00276742510726411, 0.00499852801234917238, 0.0000230417297573763929, 0.000285885980666130812),
    BODY(12.8943695621391310, -15.1111514016986312, -0.223307578892655734,
         0.00296460137564761618, 0.00237847173959480950, -0.0000296589568540237556, 0.0000436624404335156298),
    BODY(15.3796971148509165, -25.9193146099879641, 0.179258772950371181,
         0.00268067772490389322, 0.00162824170038242295, -0.0000951592254519715870, 0.0000515138902046611451),
};

static void attract(struct body *a, struct body *b)
{
    double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
    double square = dx * dx + dy * dy + dz * dz;
    double magnitude = TIME_STEP / (square * __builtin_sqrt(square));
    a->vx -= dx * b->mass * magnitude;
    a->vy -= dy * b->mass * magnitude;
    a->vz -= dz * b->mass * magnitude;
    b->vx += dx * a->mass * magnitude;
    b->vy += dy * a->mass * magnitude;
    b->vz += dz * a->mass * magnitude;
}

static void advance(void)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++)
            attract(&bodies[i], &bodies[j]);
    for (int i = 0; i < BODIES; i++) {
        bodies[i].x += TIME_STEP * bodies[i].vx;
        bodies[i].y += TIME_STEP * bodies[i].vy;
        bodies[i].z += TIME_STEP * bodies[i].vz;
    }
}

/* The checksum is the bit pattern of twice the kinetic energy: one wrong rounding shows. */
static void planets(const char *name, word steps)
{
    union {
        double value;
        __u64 bits;
    } energy = { .value = 0 };
    bench_begin(name);
    for (word step = 0; step < steps; step++)
        advance();
    for (int i = 0; i < BODIES; i++) {
        const struct body *body = &bodies[i];
        energy.value += body->mass * (body->vx * body->vx + body->vy * body->vy + body->vz * body->vz);
    }
    bench_end(name, energy.bits);
}

const struct benchmark benchmarks[] = {
    { "bench-float", planets },
    { NULL, NULL },
};
