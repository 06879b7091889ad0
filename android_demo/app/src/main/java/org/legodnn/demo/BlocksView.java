package org.legodnn.demo;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.graphics.RectF;
import android.util.AttributeSet;
import android.util.TypedValue;
import android.view.View;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Draws one model's segments as a chain from left to right. A block's outline stands for the original, what is filled
 * for the share of channels that the running option keeps; the colour is its precision. A block that was just switched
 * has a thick outline, a fixed segment is a small box, a suspended model is all outlines.
 */
public final class BlocksView extends View {
    /** One piece of the chain. */
    static final class Piece {
        final String name;
        final boolean fixed;
        /** Share of channels removed, 0 to 1. */
        final double sparsity;
        final String precision;
        final boolean switched;

        Piece(String name, boolean fixed, double sparsity, String precision, boolean switched) {
            this.name = name;
            this.fixed = fixed;
            this.sparsity = sparsity;
            this.precision = precision;
            this.switched = switched;
        }

        int percentKept() {
            return (int) Math.round(100 * (1 - sparsity));
        }
    }

    private static final float FIXED_WIDTH = 0.5f;
    private static final float GAP_DP = 6;

    private final Paint fill = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint line = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Paint label = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final RectF box = new RectF();
    private final float dp;
    private List<Piece> pieces = Collections.emptyList();
    private boolean suspended;

    public BlocksView(Context context, AttributeSet attributes) {
        super(context, attributes);
        dp = getResources().getDisplayMetrics().density;
        line.setStyle(Paint.Style.STROKE);
        label.setTextAlign(Paint.Align.CENTER);
        label.setTextSize(
                TypedValue.applyDimension(TypedValue.COMPLEX_UNIT_SP, 11, getResources().getDisplayMetrics()));
        label.setColor(getContext().getColor(R.color.text_dim));
    }

    /** Show a chain of `model` from now on. */
    void show(String model, List<Piece> chain, boolean isSuspended) {
        pieces = Collections.unmodifiableList(new ArrayList<>(chain));
        suspended = isSuspended;
        StringBuilder words = new StringBuilder();
        for (Piece piece : pieces) {
            words.append(words.length() == 0 ? "" : "; ");
            words.append(piece.fixed
                    ? getResources().getString(R.string.fixed_described, piece.name)
                    : getResources().getString(R.string.block_described, piece.name, piece.percentKept(),
                            piece.precision));
        }
        String name = suspended ? getResources().getString(R.string.suspended, model) : model;
        setContentDescription(getResources().getString(R.string.chain_described, name, words));
        invalidate();
    }

    /** What is drawn. */
    List<Piece> shown() {
        return pieces;
    }

    @Override
    protected void onDraw(Canvas canvas) {
        if (pieces.isEmpty()) {
            return;
        }
        float units = 0;
        for (Piece piece : pieces) {
            units += piece.fixed ? FIXED_WIDTH : 1;
        }
        float gap = GAP_DP * dp;
        float left = getPaddingLeft() + dp;
        float unit = (getWidth() - left - getPaddingRight() - dp - gap * (pieces.size() - 1)) / units;
        float top = getPaddingTop() + label.getTextSize() + 4 * dp;
        float bottom = getHeight() - getPaddingBottom() - label.getTextSize() - 5 * dp;
        for (int i = 0; i < pieces.size(); i++) {
            Piece piece = pieces.get(i);
            float right = left + unit * (piece.fixed ? FIXED_WIDTH : 1);
            draw(canvas, piece, left, top, right, bottom);
            if (i < pieces.size() - 1) {
                line.setColor(getContext().getColor(R.color.outline));
                line.setStrokeWidth(1.5f * dp);
                float y = (top + bottom) / 2;
                canvas.drawLine(right, y, right + gap, y, line);
            }
            left = right + gap;
        }
    }

    private void draw(Canvas canvas, Piece piece, float left, float top, float right, float bottom) {
        float height = bottom - top;
        float inset = piece.fixed ? height / 4 : 0;
        float filledFrom = piece.fixed ? top + inset : top + (float) (height * piece.sparsity);
        if (!suspended) {
            box.set(left, filledFrom, right, bottom - inset);
            fill.setColor(colourOf(piece));
            canvas.drawRoundRect(box, 3 * dp, 3 * dp, fill);
        }
        box.set(left, top + inset, right, bottom - inset);
        line.setColor(getContext().getColor(piece.switched ? R.color.switched : R.color.outline));
        line.setStrokeWidth((piece.switched ? 2.5f : 1) * dp);
        canvas.drawRoundRect(box, 3 * dp, 3 * dp, line);
        float centre = (left + right) / 2;
        float room = right - left + GAP_DP * dp;
        if (!piece.fixed && !suspended && piece.sparsity > 0) {
            String removed = getResources().getString(R.string.block_removed, 100 - piece.percentKept());
            drawIfFits(canvas, removed, centre, top - 4 * dp, room);
        }
        float baseline = bottom + label.getTextSize() + 3 * dp;
        if (!drawIfFits(canvas, piece.name, centre, baseline, room)) {
            drawIfFits(canvas, piece.name.replaceAll("^[^0-9]+(?=[0-9])", ""), centre, baseline, room);
        }
    }

    private boolean drawIfFits(Canvas canvas, String text, float x, float baseline, float room) {
        if (label.measureText(text) > room) {
            return false;
        }
        canvas.drawText(text, x, baseline, label);
        return true;
    }

    private int colourOf(Piece piece) {
        if (piece.fixed) {
            return getContext().getColor(R.color.fixed);
        }
        switch (piece.precision) {
            case "int8":
                return getContext().getColor(R.color.int8);
            case "float16":
                return getContext().getColor(R.color.float16);
            default:
                return getContext().getColor(R.color.float32);
        }
    }
}
