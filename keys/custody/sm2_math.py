"""SM2 verification in plain Python (GB/T 32918.2), for machines whose libcrypto lacks SM2.

It handles public values only. It is not constant-time and must never see a private key.
Points are Jacobian (X, Y, Z) with x = X/Z², y = Y/Z³; Z = 0 is the point at infinity.
"""

P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
GX = 0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7
GY = 0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0

Point = tuple[int, int, int]
INFINITY: Point = (1, 1, 0)
GENERATOR: Point = (GX, GY, 1)


def on_curve(x: int, y: int) -> bool:
    """Whether (x, y) is a finite point of the curve. The cofactor is 1, so it is then in the right group."""
    return 0 <= x < P and 0 <= y < P and (y * y - (x * x * x + A * x + B)) % P == 0


def _double(point: Point) -> Point:
    x, y, z = point
    if not z or not y:
        return INFINITY
    yy, zz = y * y % P, z * z % P
    s = 4 * x * yy % P
    m = 3 * (x - zz) * (x + zz) % P  # 3x² + A·z⁴ with A = −3
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(left: Point, right: Point) -> Point:
    if not left[2]:
        return right
    if not right[2]:
        return left
    (x1, y1, z1), (x2, y2, z2) = left, right
    zz1, zz2 = z1 * z1 % P, z2 * z2 % P
    u1, u2 = x1 * zz2 % P, x2 * zz1 % P
    s1, s2 = y1 * zz2 * z2 % P, y2 * zz1 * z1 % P
    if u1 == u2:
        return _double(left) if s1 == s2 else INFINITY
    h, r = u2 - u1, s2 - s1
    hh = h * h % P
    hhh, v = h * hh % P, u1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - s1 * hhh) % P, h * z1 * z2 % P


def combine(s: int, t: int, point: Point) -> Point:
    """s·G + t·point, both scalars walked together from the top bit (Shamir's trick)."""
    table = (INFINITY, GENERATOR, point, _add(GENERATOR, point))
    result = INFINITY
    for bit in reversed(range(max(s.bit_length(), t.bit_length()))):
        result = _add(_double(result), table[(s >> bit & 1) | (t >> bit & 1) << 1])
    return result


def verify_digest(x: int, y: int, e: int, r: int, s: int) -> bool:
    """GB/T 32918.2 §7.1, steps B1–B7, for the digest ``e`` = SM3(Z ‖ M) as an integer."""
    if not (on_curve(x, y) and 1 <= r < N and 1 <= s < N):
        return False
    t = (r + s) % N
    if t == 0:
        return False
    x1, _, z1 = combine(s, t, (x, y, 1))
    if not z1:
        return False
    return (e + x1 * pow(z1, -2, P) % P) % N == r
