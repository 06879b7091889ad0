package org.legodnn.internal.solver;

import java.math.BigInteger;

/** An exact fraction, made of doubles and longs; it is not reduced. */
public final class Fraction implements Comparable<Fraction> {
    /** The number 1. */
    public static final Fraction ONE = new Fraction(BigInteger.ONE, BigInteger.ONE);

    private static final int MANTISSA_BITS = 52;

    private final BigInteger numerator;
    private final BigInteger denominator;

    private Fraction(BigInteger numerator, BigInteger denominator) {
        this.numerator = numerator;
        this.denominator = denominator;
    }

    /** The exact value of a finite double. */
    public static Fraction of(double value) {
        long bits = Double.doubleToLongBits(value);
        int exponent = Math.max(Math.getExponent(value), Double.MIN_EXPONENT) - MANTISSA_BITS;
        long mantissa = bits & (1L << MANTISSA_BITS) - 1;
        if (Math.getExponent(value) >= Double.MIN_EXPONENT) {
            mantissa |= 1L << MANTISSA_BITS;
        }
        if (mantissa != 0) {
            int zeros = Long.numberOfTrailingZeros(mantissa);
            mantissa >>= zeros;
            exponent += zeros;
        }
        BigInteger whole = BigInteger.valueOf(bits < 0 ? -mantissa : mantissa);
        return exponent >= 0 ? new Fraction(whole.shiftLeft(exponent), BigInteger.ONE)
                : new Fraction(whole, BigInteger.ONE.shiftLeft(-exponent));
    }

    /** The fraction of a whole number. */
    public static Fraction of(long value) {
        return new Fraction(BigInteger.valueOf(value), BigInteger.ONE);
    }

    /** The sum of this fraction and another one. */
    public Fraction plus(Fraction other) {
        return new Fraction(
                numerator.multiply(other.denominator).add(other.numerator.multiply(denominator)),
                denominator.multiply(other.denominator));
    }

    /** The product of this fraction and another one. */
    public Fraction times(Fraction other) {
        return new Fraction(numerator.multiply(other.numerator), denominator.multiply(other.denominator));
    }

    /** The quotient of this fraction by a positive one. */
    public Fraction over(Fraction other) {
        return new Fraction(numerator.multiply(other.denominator), denominator.multiply(other.numerator));
    }

    /** The greatest whole number that is not greater than this fraction, which must not be negative; at most `most`. */
    public long floor(long most) {
        BigInteger whole = numerator.divide(denominator);
        return whole.bitLength() > 62 ? most : Math.min(whole.longValue(), most);
    }

    /** The double nearest to this fraction. */
    public double doubleValue() {
        if (numerator.signum() == 0) {
            return 0;
        }
        // A quotient of some 66 bits, the last of which stands for all that follow: then one rounding.
        int shift = denominator.bitLength() - numerator.bitLength() + 66;
        BigInteger above = shift > 0 ? numerator.shiftLeft(shift) : numerator;
        BigInteger below = shift < 0 ? denominator.shiftLeft(-shift) : denominator;
        BigInteger[] parts = above.divideAndRemainder(below);
        BigInteger quotient = parts[0];
        if (parts[1].signum() != 0) {
            quotient = quotient.setBit(0);
        }
        return Math.scalb(quotient.doubleValue(), -shift);
    }

    @Override
    public int compareTo(Fraction other) {
        return numerator.multiply(other.denominator).compareTo(other.numerator.multiply(denominator));
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Fraction && compareTo((Fraction) other) == 0;
    }

    @Override
    public int hashCode() {
        return Double.valueOf(doubleValue()).hashCode();
    }

    @Override
    public String toString() {
        return numerator + "/" + denominator;
    }
}
