import numpy as np
from scipy.special import gammaincinv
from scipy.stats import binom

D = 20000
P = np.linspace(0.05, 0.95, 181)


def iv(n, c, kind):
    r = np.random.default_rng(0)
    out = []
    for k in range(n + 1):
        g = r.standard_exponential((D, n))
        if kind == "mid":
            e = r.standard_gamma(c, (D))
            w = np.where(np.arange(D) % 2, 0, 1.0)
            num = g[:, :k].sum(1) + e * w
            den = g.sum(1) + e
        out.append(np.quantile(num / den, [0.025, 0.975]))
    return np.array(out)


for n in (4, 8, 16):
    for c in (0.5, 0.6, 0.7, 0.75, 0.8, 1.0):
        I = iv(n, c, "mid")
        pm = binom.pmf(np.arange(n + 1)[:, None], n, P)
        cv = (((I[:, :1] <= P) & (I[:, 1:] >= P)) * pm).sum(0)
        w = ((I[:, 1:] - I[:, :1]) * pm).sum(0).mean()
        print(
            n,
            c,
            "min %.3f at %.3f mean %.4f max %.3f width %.3f"
            % (cv.min(), P[cv.argmin()], cv.mean(), cv.max(), w),
            I[0].round(3),
            (cv < 0.9).mean().round(3),
            flush=True,
        )
