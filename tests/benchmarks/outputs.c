/* Read raw images from one file, and write the model's outputs for them to another. */
#define main app_main
#include "edgesqz_app.c"
#undef main

int main(int count, char **arguments) {
    uint8_t pixels[MODEL_PIXELS];
    model_value values[MODEL_LABELS];
    FILE *images = fopen(arguments[1], "rb"), *outputs = fopen(arguments[count - 1], "wb");
    if (!images || !outputs) fail("usage", "outputs IMAGES OUTPUTS");
    start();
    while (fread(pixels, sizeof pixels, 1, images) == 1) {
        run(pixels, values);
        fwrite(values, sizeof values, 1, outputs);
    }
    return fclose(outputs);
}
