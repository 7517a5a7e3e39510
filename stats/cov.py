import numpy as np, sys
from scipy import stats
from scipy.special import stdtrit, betaincinv

rng = np.random.default_rng(1)
D = 1000


def dirich(n, D=D, seed=0):
    r = np.random.default_rng(seed)
    g = r.standard_exponential((D, n + 1))
    return g / g.sum(1, keepdims=True)


def midp(x, a=0.0, b=1.0):
    n = x.shape[1]
    w = dirich(n)
    s = x @ w[:, :n].T
    e = np.where(np.arange(D) % 2, a, b) * w[:, n]
    v = s + e
    return np.quantile(v, 0.025, axis=1), np.quantile(v, 0.975, axis=1)


def jeff(x, a=0.0, b=1.0):
    n = x.shape[1]
    r = np.random.default_rng(0)
    g = np.concatenate([r.standard_exponential((D, n)), r.standard_gamma(0.5, (D, 2))], 1)
    w = g / g.sum(1, keepdims=True)
    v = np.concatenate([x, np.full((len(x), 1), a), np.full((len(x), 1), b)], 1) @ w.T
    lo, hi = np.quantile(v, 0.025, axis=1), np.quantile(v, 0.975, axis=1)
    lo = np.where((x == a).all(1), a, lo)
    hi = np.where((x == b).all(1), b, hi)
    return lo, hi


def student(x, a=0.0, b=1.0):
    n = x.shape[1]
    m = x.mean(1)
    h = stdtrit(n - 1, 0.975) * x.std(1, ddof=1) / np.sqrt(n)
    return np.clip(m - h, a, b), np.clip(m + h, a, b)


def gaffke(x, a=0.0, b=1.0):
    n = x.shape[1]
    w = dirich(n)
    s = x @ w[:, :n].T
    return np.quantile(s + a * w[:, n], 0.025, axis=1), np.quantile(s + b * w[:, n], 0.975, axis=1)


def split(x, G=0.2, F=3):
    s = np.sort(x, 1)
    gap = np.diff(s, axis=1)
    cut = gap >= G
    # widest mode
    run = np.zeros(len(x))
    widest = np.zeros(len(x))
    for j in range(gap.shape[1]):
        run = np.where(cut[:, j], 0, run + gap[:, j])
        widest = np.maximum(widest, run)
    smallest = np.where(cut, gap, np.inf).min(1)
    return cut.any(1) & (smallest >= F * widest)


def laws(p, n, N):
    yield "01", (rng.random((N, n)) < p) * 1.0, p
    k = rng.binomial(2, p, (N, n))
    yield "3", 0.48 * k, 0.96 * p
    k = np.where(rng.random((N, n)) < p, np.where(rng.random((N, n)) < 0.5, 2, 1), 0)
    yield "3b", 0.48 * k, 0.72 * p
    sd = min(p, 1 - p) / 5
    yield "gauss", rng.normal(p, sd, (N, n)), p
    for K in (1, 2, 5, 20, 100):
        yield f"beta{K}", rng.beta(K * p, K * (1 - p), (N, n)), p


ps = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95])
N = 1000
for n in (4, 8, 16):
    out = {}
    for p in ps:
        for name, x, mu in laws(p, n, N):
            m = x.mean(1)
            sd = x.std(1, ddof=1)
            sp = split(x)
            r = np.minimum(m, 1 - m) / np.maximum(sd, 1e-12)
            T = student(x)
            M = midp(x)
            G = gaffke(x)
            res = {"t": T, "cp": G, "midp": M}
            if name == "01":
                res["jeff"] = jeff(x)
            for R in (1, 1.5, 2, 3):
                st = (sd > 1e-12) & ~sp & (r >= R)
                res[f"mix{R}"] = (np.where(st, T[0], M[0]), np.where(st, T[1], M[1]))
            for mn, (lo, hi) in res.items():
                c = ((lo <= mu + 1e-9) & (hi >= mu - 1e-9)).mean()
                out.setdefault((name, mn), []).append((c, (hi - lo).mean()))
    print("n", n)
    for (name, mn), v in out.items():
        v = np.array(v)
        print(
            f"{name:8s}{mn:7s} min {v[:, 0].min():.3f} at {ps[v[:, 0].argmin()]} mean {v[:, 0].mean():.3f} max {v[:, 0].max():.3f} width {v[:, 1].mean():.3f}",
            flush=True,
        )
