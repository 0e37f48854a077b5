using System;

namespace Example.Net
{
    /// <summary>A pool.</summary>
    [Serializable]
    public class Pool<T> : Base
    {
        public int Size { get; set; } = 10;

        public Pool()
        {
            Size = 4;
        }

        /// <summary>Grows it.</summary>
        [Obsolete]
        public void Grow(int by)
        {
            Size += by;
        }

        public int Twice() => Size * 2;
    }

    public enum Mode
    {
        Fast,
    }
}
