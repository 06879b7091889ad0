package org.legodnn.demo;

import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Paint;
import android.graphics.Path;
import android.util.AttributeSet;
import android.view.MotionEvent;
import android.view.View;

/** A square to draw a digit in with a finger: white on black, as the digits that the models were trained on. */
public final class DigitPad extends View {
    /** A line's width as a part of the pad's: those digits have 8 x 8 pixels, and lines of about one. */
    private static final float LINE = 1 / 7f;
    private static final int PIXELS = 8;
    /** A line that begins so long after the last one begins another digit. */
    private static final long PAUSE_MS = 1500;

    private final Path lines = new Path();
    private final Paint paint = new Paint(Paint.ANTI_ALIAS_FLAG);
    private long lifted;
    private Listener listener;

    /** Is told of the digit so far whenever a line ends. */
    interface Listener {
        void onDrawn(Bitmap digit);
    }

    public DigitPad(Context context, AttributeSet attributes) {
        super(context, attributes);
        paint.setColor(Color.WHITE);
        paint.setStyle(Paint.Style.STROKE);
        paint.setStrokeCap(Paint.Cap.ROUND);
        paint.setStrokeJoin(Paint.Join.ROUND);
    }

    void setListener(Listener next) {
        listener = next;
    }

    @Override
    protected void onMeasure(int width, int height) {
        super.onMeasure(height, height); // as wide as it is high
    }

    @Override
    protected void onDraw(Canvas canvas) {
        canvas.drawColor(Color.BLACK);
        paint.setStrokeWidth(getWidth() * LINE);
        canvas.drawPath(lines, paint);
    }

    @Override
    public boolean onTouchEvent(MotionEvent event) {
        if (!isEnabled()) {
            return false;
        }
        switch (event.getActionMasked()) {
            case MotionEvent.ACTION_DOWN:
                getParent().requestDisallowInterceptTouchEvent(true); // the page is not to scroll meanwhile
                if (event.getEventTime() - lifted > PAUSE_MS) {
                    lines.reset();
                }
                lines.moveTo(event.getX(), event.getY());
                lines.lineTo(event.getX(), event.getY());
                break;
            case MotionEvent.ACTION_MOVE:
                lines.lineTo(event.getX(), event.getY());
                break;
            case MotionEvent.ACTION_UP:
                lifted = event.getEventTime();
                performClick();
                break;
            default:
                return false;
        }
        invalidate();
        return true;
    }

    @Override
    public boolean performClick() {
        super.performClick();
        if (listener != null && getWidth() > 0) {
            Bitmap drawn = Bitmap.createBitmap(getWidth(), getHeight(), Bitmap.Config.ARGB_8888);
            onDraw(new Canvas(drawn));
            listener.onDrawn(Bitmap.createScaledBitmap(drawn, PIXELS, PIXELS, true));
        }
        return true;
    }
}
